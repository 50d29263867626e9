"""Our OTLP bytes, read with OpenTelemetry's own generated code."""

from __future__ import annotations

import base64
import json
import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link as SDKLink
from opentelemetry.trace import NonRecordingSpan, TraceFlags, TraceState, set_span_in_context
from opentelemetry.trace import SpanContext as SDKContext
from opentelemetry.trace import SpanKind as SDKKind
from opentelemetry.trace.status import Status as SDKStatus
from opentelemetry.trace.status import StatusCode as SDKStatusCode

from asynchooks import _native, sites
from asynchooks.tracing import Span, SpanContext, SpanKind, StatusCode
from asynchooks.tracing.otlp import read_partial_success, split_request

if TYPE_CHECKING:
    from tests.unit.tracing.conftest import Encoded


@pytest.fixture(scope="module")
def module_encoded() -> Any:
    """For Hypothesis, which wants nothing anew for each example."""
    made = SimpleNamespace()
    made.buffer = _native.ExportBuffer(
        start=lambda: None,
        scope=_native.encode_scope("asynchooks", "1.2.3"),
        capacity=1000,
        byte_limit=1 << 30,
        batch=1000,
    )
    _native.set_span_buffer(made.buffer)
    yield made
    _native.set_span_buffer(None)


def decode(made: Any) -> Any:
    """The one span that has ended, and the bytes that it is encoded to."""
    taken = made.buffer.take(b"")
    assert taken is not None
    count, body = taken
    assert count == 1
    made.buffer.settle(1, 0)
    request = ExportTraceServiceRequest.FromString(body)
    assert request.SerializeToString(deterministic=True)
    return request.resource_spans[0].scope_spans[0].spans[0], body


def python_value(value: Any) -> Any:
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which == "array_value":
        return [python_value(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return {pair.key: python_value(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, which)


def attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: python_value(pair.value) for pair in pairs}


def test_every_field(encoded: Encoded) -> None:
    sites.configure()
    parent = SpanContext(0xABC, 0xDEF, 1, "vendor=1", is_remote=True)
    span = Span(
        "GET /orders",
        kind=SpanKind.SERVER,
        parent=parent,
        attributes={"text": "é", "yes": True, "no": False, "zero": 0, "minus": -5, "pi": 3.14},
        start_time=1_700_000_000_000_000_001,
        call_site=True,
    )
    span.set_attribute("list", ["a", "b"])
    span.add_event("log", {"log.message": "hello"}, 1_700_000_000_000_000_002)
    span.add_link(SpanContext(5, 6, 1, "s=1"), {"why": "batch"})
    span.set_status(StatusCode.ERROR, "broken")
    for number in range(130):
        span.set_attribute(f"more-{number}", number)
        span.add_event("more")
        span.add_link(parent)
    span.end(1_700_000_000_000_000_003)

    decoded = encoded.span()
    assert int.from_bytes(decoded.trace_id, "big") == 0xABC
    assert int.from_bytes(decoded.span_id, "big") == span.context.span_id
    assert int.from_bytes(decoded.parent_span_id, "big") == 0xDEF
    assert decoded.trace_state == "vendor=1"
    assert (decoded.name, decoded.kind) == ("GET /orders", decoded.SPAN_KIND_SERVER)
    assert decoded.start_time_unix_nano == 1_700_000_000_000_000_001
    assert decoded.end_time_unix_nano == 1_700_000_000_000_000_003
    found = attributes(decoded.attributes)
    assert {k: v for k, v in found.items() if not k.startswith("more-")} == {
        "code.file.path": __file__,
        "code.line.number": test_every_field.__code__.co_firstlineno + 3,
        "code.function.name": "test_every_field",
        "text": "é",
        "yes": True,
        "no": False,
        "zero": 0,
        "minus": -5,
        "pi": 3.14,
        "list": ["a", "b"],
    }
    event, *more = decoded.events
    assert (event.name, event.time_unix_nano) == ("log", 1_700_000_000_000_000_002)
    assert attributes(event.attributes) == {"log.message": "hello"}
    assert [e.name for e in more] == ["more"] * 127
    link = decoded.links[0]
    assert (link.trace_id[-1], link.span_id[-1], link.trace_state) == (5, 6, "s=1")
    assert link.flags == 0x101
    assert attributes(link.attributes) == {"why": "batch"}
    assert decoded.links[1].flags == 0x301
    assert (decoded.status.code, decoded.status.message) == (2, "broken")
    assert decoded.dropped_attributes_count == 130 + 7 - 128
    assert decoded.dropped_events_count == decoded.dropped_links_count == 131 - 128
    assert decoded.flags == 0x301


def test_a_root_has_no_parent(encoded: Encoded) -> None:
    Span("root").end()
    decoded = encoded.span()
    assert decoded.parent_span_id == b""
    assert decoded.flags == 0x101
    assert decoded.status.code == 0


def test_a_span_that_says_where_it_was_started_is_believed(encoded: Encoded) -> None:
    sites.configure()
    Span("told", call_site=True, attributes={"code.function.name": "mine"}).end()
    assert attributes(encoded.span().attributes) == {"code.function.name": "mine"}


def test_resource_and_scopes(encoded: Encoded) -> None:
    scope = _native.encode_scope("lib", "2", "https://schema", {"a": 1})
    for name, who in (("one", None), ("two", scope), ("three", None), ("four", scope)):
        Span(name, scope=who).end()
    request = encoded.request({"service.name": "shop", "process.pid": 42})
    (resource_spans,) = request.resource_spans
    assert attributes(resource_spans.resource.attributes) == {
        "service.name": "shop",
        "process.pid": 42,
    }
    ours, theirs = resource_spans.scope_spans
    assert (ours.scope.name, ours.scope.version) == ("asynchooks", "1.2.3")
    assert [span.name for span in ours.spans] == ["one", "three"]
    assert (theirs.scope.name, theirs.scope.version) == ("lib", "2")
    assert attributes(theirs.scope.attributes) == {"a": 1}
    assert theirs.schema_url == "https://schema"
    assert [span.name for span in theirs.spans] == ["two", "four"]


def test_the_same_spans_as_opentelemetry_s_own_exporter_writes(encoded: Encoded) -> None:
    """Both are decoded and compared whole."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "shop", "n": 3}))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("lib", "2", schema_url="https://schema", attributes={"a": 1})
    scope = _native.encode_scope("lib", "2", "https://schema", {"a": 1})
    values: dict[str, Any] = {
        "text": "é€😀",
        "empty": "",
        "yes": True,
        "number": -(1 << 63),
        "float": 0.1,
        "infinite": math.inf,
        "texts": ["a", ""],
        "numbers": (1, 2, 3),
        "none": [],
    }
    remote = (0xABC << 64 | 7, 0xDEF)
    sdk_remote = SDKContext(
        *remote, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("v", "1")])
    )
    ours_remote = SpanContext(*remote, 1, "v=1", is_remote=True)

    for number, (sdk_kind, kind) in enumerate(zip(SDKKind, SpanKind, strict=True)):
        theirs = tracer.start_span(
            f"span {number}",
            context=set_span_in_context(NonRecordingSpan(sdk_remote)) if number % 2 else None,
            kind=sdk_kind,
            attributes=values,
            links=[SDKLink(sdk_remote, {"why": "batch"})],
            start_time=1000 + number,
        )
        theirs.add_event("event", values, 2000)
        theirs.add_event("bare", None, 2001)
        if number == 1:
            theirs.set_status(SDKStatus(SDKStatusCode.ERROR, "broken"))
        if number == 2:
            theirs.set_status(SDKStatus(SDKStatusCode.OK))
        theirs.end(3000 + number)
        span = Span(
            f"span {number}",
            kind=kind,
            parent=ours_remote if number % 2 else None,
            attributes=values,
            start_time=1000 + number,
            scope=scope,
        )
        span.add_link(ours_remote, {"why": "batch"})
        span.add_event("event", values, 2000)
        span.add_event("bare", None, 2001)
        if number == 1:
            span.set_status(StatusCode.ERROR, "broken")
        if number == 2:
            span.set_status(StatusCode.OK)
        span.end(3000 + number)

    sdk_attributes = dict(provider.resource.attributes)
    expected = encode_spans(memory.get_finished_spans())
    found = encoded.request(sdk_attributes)
    pairs = zip(
        expected.resource_spans[0].scope_spans[0].spans,
        found.resource_spans[0].scope_spans[0].spans,
        strict=True,
    )
    for sdk_span, our_span in pairs:  # the ids that each has made for itself
        our_span.span_id = sdk_span.span_id
        if not sdk_span.parent_span_id:
            our_span.trace_id = sdk_span.trace_id
        # What the SDK leaves out, though trace.proto has a place for it.
        for holder in (our_span, *our_span.links):
            assert holder.flags & 0xFF == 1
            holder.flags &= ~0xFF
        for link in our_span.links:
            assert link.trace_state == "v=1"
            link.ClearField("trace_state")
    assert MessageToDict(found) == MessageToDict(expected)
    provider.shutdown()


# ---- Anything ----------------------------------------------------------------------------------

SCALARS = (
    st.text(st.characters(codec="utf-8"))
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False)
    | st.binary()
    | st.none()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)
KEYS = st.text(st.characters(codec="utf-8"), min_size=1)
SETS = st.dictionaries(KEYS, VALUES, max_size=20)


@given(st.text(st.characters(codec="utf-8")), SETS, SETS, st.integers(0, (1 << 64) - 2))
def test_anything_decodes_to_itself(
    module_encoded: Any, name: str, values: dict[str, Any], more: dict[str, Any], time: int
) -> None:
    span = Span(name, attributes=values, start_time=time)
    span.add_event(name, more, time)
    span.add_link(span.context, values)
    span.set_status(StatusCode.ERROR, name)
    span.end(time)
    decoded, _ = decode(module_encoded)
    assert decoded.name == name
    assert decoded.status.message == name
    assert decoded.start_time_unix_nano == decoded.end_time_unix_nano == time
    assert attributes(decoded.attributes) == values
    assert attributes(decoded.events[0].attributes) == more
    assert attributes(decoded.links[0].attributes) == values
    assert list(attributes(decoded.attributes)) == list(values), "in another order"


class Strange:
    """A value whose str() is whatever it is told to be."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    def __str__(self) -> str:
        if self.text is None:
            raise RuntimeError("no words")
        return self.text


ODD = (
    st.text()  # lone surrogates too
    | st.integers()
    | st.integers(min_value=1 << 63).map(lambda n: n**50)
    | st.floats()
    | st.builds(Strange, st.none() | st.text())
    | st.complex_numbers()
    | st.sets(st.integers())
    | st.binary().map(bytearray)
    | st.just(object)
    | SCALARS
)
ODD_VALUES = st.recursive(
    ODD,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=20,
)
ODD_SETS = st.dictionaries(st.text() | st.integers() | st.none(), ODD_VALUES, max_size=10)
LIMITS = st.integers(0, 20)


# Of protobuf, which reads JSON with base64 of another alphabet, from Python 3.15 on.
@pytest.mark.filterwarnings("ignore:invalid character:FutureWarning")
@given(
    st.text(),
    ODD_SETS,
    st.fixed_dictionaries(
        dict.fromkeys(
            ("attributes", "events", "links", "event_attributes", "link_attributes"), LIMITS
        )
    ),
    st.integers(0, 30),
)
def test_nothing_breaks_the_encoder(
    module_encoded: Any, name: str, values: dict[Any, Any], limits: dict[str, int], length: int
) -> None:
    _native.set_span_limits(**limits, value_length=length)
    try:
        span = Span(name, attributes=values)
        for key, value in values.items():
            span.set_attribute(key, value)
            span.add_event(name, {key: value, **values})
            span.add_link(span, {key: value, **values})
        span.end()
    finally:
        _native.set_span_limits(
            attributes=128,
            events=128,
            links=128,
            event_attributes=128,
            link_attributes=128,
            value_length=16 * 1024,
        )
    decoded, body = decode(module_encoded)
    sets = [(decoded, limits["attributes"])]
    sets += [(event, limits["event_attributes"]) for event in decoded.events]
    sets += [(link, limits["link_attributes"]) for link in decoded.links]
    for message, most in sets:
        assert len(message.attributes) <= most
        assert len({pair.key for pair in message.attributes}) == len(message.attributes)
        assert all(_longest(pair.value) <= length for pair in message.attributes)
    assert len(decoded.events) + decoded.dropped_events_count == len(values)
    assert len(decoded.links) + decoded.dropped_links_count == len(values)
    assert len(decoded.events) == min(len(values), limits["events"])
    # And what is made of it for the file is what protobuf's own JSON reads.
    check_json(body)


def _longest(value: Any) -> int:
    which = value.WhichOneof("value")
    if which == "array_value":
        return max(map(_longest, value.array_value.values), default=0)
    if which == "kvlist_value":
        return max((_longest(pair.value) for pair in value.kvlist_value.values), default=0)
    content = getattr(value, which) if which else ""
    return len(content) if isinstance(content, str | bytes) else 0


def check_json(body: bytes) -> None:
    """OTLP/JSON is protobuf's, but for ids, which are hexadecimal instead of base64."""
    request = ExportTraceServiceRequest.FromString(body)
    written = json.loads(_native.request_as_json(body))
    for resource in written["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for holder in (span, *span.get("links", ())):
                    for key in ("traceId", "spanId", "parentSpanId"):
                        if key in holder:
                            holder[key] = _base64_of_hex(holder[key])
    assert ParseDict(written, ExportTraceServiceRequest()) == request or "nan" in str(request)


def _base64_of_hex(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def test_what_protobuf_cannot_hold_is_written_as_text(encoded: Encoded) -> None:
    odd: dict[str, Any] = {
        "huge": 1 << 70,
        "vast": 10**5000,
        "object": {1},
        "surrogate": "\udc80é",
        "kind": SpanKind.CLIENT,
        "deep": None,
    }
    deep: Any = "x"
    for _ in range(100):
        deep = [deep]
    odd["deep"] = deep
    Span("odd", attributes=odd).end()
    found = attributes(encoded.span().attributes)
    assert found.pop("vast").startswith("0x")
    assert str(found.pop("deep")).count("[") == 100
    assert found == {"huge": str(1 << 70), "object": "{1}", "surrogate": "?é", "kind": 3}


def test_keys_that_are_none_and_values_without_words_are_counted(encoded: Encoded) -> None:
    odd: dict[Any, Any] = {"": 1, 7: 1, None: 1, "mute": Strange(None), "good": 1}
    Span("odd", attributes=odd).end()
    decoded = encoded.span()
    assert attributes(decoded.attributes) == {"good": 1}
    assert decoded.dropped_attributes_count == 4


def test_a_list_that_changes_later_stays_what_it_was(encoded: Encoded) -> None:
    values, inner = [1, 2], {"a": [1]}
    span = Span("lists", attributes={"values": values, "inner": inner})  # type: ignore[dict-item]
    values.append(3)
    inner["a"].append(2)
    span.end()
    assert attributes(encoded.span().attributes) == {"values": [1, 2], "inner": {"a": [1]}}


# ---- Splitting, and the answer -----------------------------------------------------------------


def test_halves_are_whole_requests(encoded: Encoded) -> None:
    scope = _native.encode_scope("lib")
    for number in range(7):
        Span(str(number), scope=scope if number % 2 else None).end()
    body = encoded.body({"service.name": "shop"})
    whole = ExportTraceServiceRequest.FromString(body)
    halves = split_request(body)
    assert [count for count, _ in halves] == [3, 4]
    found = []
    for count, half in halves:
        request = ExportTraceServiceRequest.FromString(half)
        (resource_spans,) = request.resource_spans
        assert resource_spans.resource == whole.resource_spans[0].resource
        spans = [(s.scope.name, span.name) for s in resource_spans.scope_spans for span in s.spans]
        assert len(spans) == count
        found += spans
    expected = [
        (s.scope.name, span.name) for s in whole.resource_spans[0].scope_spans for span in s.spans
    ]
    assert found == expected


def test_one_span_has_no_halves(encoded: Encoded) -> None:
    Span("one").end()
    assert split_request(encoded.body()) == []


@given(st.binary())
def test_an_answer_of_garbage_rejects_nothing_or_something(answer: bytes) -> None:
    rejected, message = read_partial_success(answer)
    assert rejected >= 0
    assert isinstance(message, str)


@given(st.binary())
def test_json_of_garbage_is_refused_or_made(body: bytes) -> None:
    try:
        written = _native.request_as_json(body)
    except ValueError:
        return
    assert written.startswith(b"{")
    assert written.endswith(b"}")


def test_a_request_that_ends_too_soon_is_no_request(encoded: Encoded) -> None:
    values: dict[str, Any] = {"text": "x" * 300, "many": [1, 2.5, b"raw", None]}
    Span("whole", attributes=values).end()
    body = encoded.body({"service.name": "shop"})
    json.loads(_native.request_as_json(body))
    for end in range(1, len(body)):
        with pytest.raises(ValueError, match="no request"):
            _native.request_as_json(body[:end])
    deep = b""
    for _ in range(10_000):  # an array in an array in an array...
        for field in (b"\x0a", b"\x2a"):
            deep = field + varint(len(deep)) + deep
    for field in (b"\x12", b"\x0a", b"\x0a", b"\x0a"):
        deep = field + varint(len(deep)) + deep
    with pytest.raises(ValueError, match="no request"):
        _native.request_as_json(deep)


def varint(value: int) -> bytes:
    head = b""
    while value >= 0x80:
        head += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return head + bytes((value,))

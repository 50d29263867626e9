"""Our OTLP bytes, read with OpenTelemetry's own generated code."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from asynchooks.tracing import Span, SpanContext, SpanKind, StatusCode
from asynchooks.tracing.otlp import encode_spans


def decode(spans: list[Span], resource: dict[str, Any] | None = None) -> Any:
    body = encode_spans(spans, resource or {}, "asynchooks", "1.2.3")
    return ExportTraceServiceRequest.FromString(body)


def decode_one(span: Span) -> Any:
    (resource_spans,) = decode([span]).resource_spans
    (scope_spans,) = resource_spans.scope_spans
    (decoded,) = scope_spans.spans
    return decoded


def python_value(value: Any) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [python_value(item) for item in value.array_value.values]
    return getattr(value, which)


def attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: python_value(pair.value) for pair in pairs}


def test_every_field() -> None:
    parent = SpanContext(0xABC, 0xDEF, 1, "vendor=1", is_remote=True)
    span = Span(
        "GET /orders",
        kind=SpanKind.SERVER,
        parent=parent,
        attributes={"text": "é", "yes": True, "no": False, "zero": 0, "minus": -5, "pi": 3.14},
        start_time=1_700_000_000_000_000_001,
        call_site=(sys._getframe().f_code, 17, ()),
    )
    span.set_attribute("list", ["a", "b"])
    span.add_event("log", {"log.message": "hello"}, 1_700_000_000_000_000_002)
    span.add_link(SpanContext(5, 6, 1, "s=1"), {"why": "batch"})
    span.set_status(StatusCode.ERROR, "broken")
    span.dropped_attributes, span.dropped_events = 3, 4
    span.end(1_700_000_000_000_000_003)

    decoded = decode_one(span)
    assert int.from_bytes(decoded.trace_id, "big") == 0xABC
    assert int.from_bytes(decoded.span_id, "big") == span.context.span_id
    assert int.from_bytes(decoded.parent_span_id, "big") == 0xDEF
    assert decoded.trace_state == "vendor=1"
    assert (decoded.name, decoded.kind) == ("GET /orders", decoded.SPAN_KIND_SERVER)
    assert decoded.start_time_unix_nano == 1_700_000_000_000_000_001
    assert decoded.end_time_unix_nano == 1_700_000_000_000_000_003
    assert attributes(decoded.attributes) == {
        "code.file.path": __file__,
        "code.line.number": 17,
        "code.function.name": "test_every_field",
        "text": "é",
        "yes": True,
        "no": False,
        "zero": 0,
        "minus": -5,
        "pi": 3.14,
        "list": ["a", "b"],
    }
    (event,) = decoded.events
    assert (event.name, event.time_unix_nano) == ("log", 1_700_000_000_000_000_002)
    assert attributes(event.attributes) == {"log.message": "hello"}
    (link,) = decoded.links
    assert (link.trace_id[-1], link.span_id[-1], link.trace_state) == (5, 6, "s=1")
    assert attributes(link.attributes) == {"why": "batch"}
    assert (decoded.status.code, decoded.status.message) == (2, "broken")
    assert (decoded.dropped_attributes_count, decoded.dropped_events_count) == (3, 4)
    assert decoded.flags == 0x301


def test_a_root_has_no_parent() -> None:
    span = Span("root")
    span.end()
    decoded = decode_one(span)
    assert decoded.parent_span_id == b""
    assert decoded.flags == 0x101
    assert decoded.status.code == 0


def test_resource_and_scope() -> None:
    span = Span("one")
    span.end()
    request = decode([span], {"service.name": "shop", "process.pid": 42})
    (resource_spans,) = request.resource_spans
    assert attributes(resource_spans.resource.attributes) == {
        "service.name": "shop",
        "process.pid": 42,
    }
    scope = resource_spans.scope_spans[0].scope
    assert (scope.name, scope.version) == ("asynchooks", "1.2.3")


VALUES = (
    st.text()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False)
    | st.lists(st.text() | st.integers(-(1 << 63), (1 << 63) - 1), max_size=5)
)


@given(
    st.text(),
    st.dictionaries(st.text(min_size=1), VALUES, max_size=20),
    st.integers(0, (1 << 64) - 1),
)
def test_anything_decodes_to_itself(name: str, values: dict[str, Any], time: int) -> None:
    span = Span(name, attributes=values, start_time=time)
    span.end(time)
    decoded = decode_one(span)
    assert decoded.name == name
    assert decoded.start_time_unix_nano == time
    assert attributes(decoded.attributes) == values


def test_what_protobuf_cannot_hold_is_written_as_text() -> None:
    odd: dict[str, Any] = {"huge": 1 << 70, "none": None, "object": {1}, "surrogate": "\udc80"}
    span = Span("odd", attributes=odd)
    span.end()
    assert attributes(decode_one(span).attributes) == {
        "huge": str(1 << 70),
        "none": "None",
        "object": "{1}",
        "surrogate": "?",
    }

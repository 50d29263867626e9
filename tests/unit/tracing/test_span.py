"""Span: OpenTelemetry's rules, and ours for what comes too late or too much."""

from __future__ import annotations

import gc
import itertools
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from asynchooks import _native
from asynchooks.tracing import (
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    set_sink,
    start_request,
    start_span,
    use_span,
)
from asynchooks.tracing.request import Request

if TYPE_CHECKING:
    from tests.unit.tracing.conftest import Encoded

# OpenTelemetry's default limits, and ours of values.
MAXIMUM_ATTRIBUTES = MAXIMUM_EVENTS = MAXIMUM_LINKS = 128
MAXIMUM_VALUE_LENGTH = 16 * 1024


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_keys_are_what_they_say_not_which_they_are(order: tuple[int, ...]) -> None:
    """An interned one, and equal ones that are not."""
    keys = ["db.name", "".join(["db", ".name"]), "".join(["db.", "name"])]
    span = start_span("query")
    span.set_attribute("other", 0)
    for number in order:
        span.set_attribute(keys[number], number)
    assert span.attributes == {"other": 0, "db.name": order[-1]}


def test_a_span_without_parent_begins_a_trace() -> None:
    first, second = Span("first"), Span("second")
    assert first.parent is None
    assert 0 < first.context.trace_id < 1 << 128
    assert 0 < first.context.span_id < 1 << 64
    assert first.context.trace_id != second.context.trace_id


def test_a_child_is_in_its_parent_s_trace_and_keeps_its_state() -> None:
    remote = SpanContext(7, 8, trace_flags=0, trace_state="vendor=1", is_remote=True)
    child = Span("child", parent=remote)
    assert child.context[:1] == (7,)
    assert child.context.span_id != 8
    assert child.context.trace_flags == 0
    assert child.context.trace_state == "vendor=1"
    assert not child.context.is_remote


def test_it_ends_once_and_tells_the_sink(ended: list[Span]) -> None:
    span = Span("once", start_time=10)
    assert span.is_recording()
    span.end(20)
    span.end(30)
    assert ended == [span]
    assert (span.start_time, span.end_time) == (10, 20)
    assert not span.is_recording()


def test_nothing_changes_after_the_end(ended: list[Span]) -> None:
    span: Span = Span("done", attributes={"a": 1})
    span.end()
    span.set_attribute("b", 2)
    span.set_status(StatusCode.ERROR, "late")
    span.update_name("late")
    span.record_exception(ValueError("late"))
    span.add_link(SpanContext(1, 2))
    assert span.attributes == {"a": 1}
    assert span.status_code is StatusCode.UNSET
    assert (span.name, span.events, span.links) == ("done", [], [])


def test_an_event_after_the_end_comes_as_a_child(ended: list[Span]) -> None:
    span = Span("done")
    span.end()
    span.add_event("log", {"log.message": "late"}, 99)
    late = ended[1]
    assert late.parent == span.context
    assert late.context.trace_id == span.context.trace_id
    assert (late.start_time, late.end_time) == (99, 99)
    assert late.events[0].attributes == {"log.message": "late"}


def test_limits_are_counted() -> None:
    span = Span("full")
    for number in range(MAXIMUM_LINKS + 2):
        span.add_link(SpanContext(1, number))
    assert (len(span.links), span.dropped_links) == (MAXIMUM_LINKS, 2)
    for number in range(MAXIMUM_ATTRIBUTES + 5):
        span.set_attribute(f"key-{number}", number)
    span.set_attribute("key-0", "changed")
    for _ in range(MAXIMUM_EVENTS + 3):
        span.add_event("event")
    assert (len(span.attributes), span.dropped_attributes) == (MAXIMUM_ATTRIBUTES, 5)
    assert span.attributes["key-0"] == "changed"
    assert (len(span.events), span.dropped_events) == (MAXIMUM_EVENTS, 3)


def test_a_long_value_is_cut() -> None:
    span = Span("long", attributes={"text": "x" * (MAXIMUM_VALUE_LENGTH + 1)})
    assert span.attributes["text"] == "x" * MAXIMUM_VALUE_LENGTH


def test_an_exception_is_recorded_with_its_stack() -> None:
    span = Span("failed")

    def find() -> None:
        raise LookupError("no such order")

    with pytest.raises(LookupError) as caught:
        find()
    span.record_exception(caught.value)
    attributes = span.events[0].attributes
    assert span.events[0].name == "exception"
    assert attributes["exception.type"] == "LookupError"
    assert attributes["exception.message"] == "no such order"
    assert "in find" in str(attributes["exception.stacktrace"])
    assert (span.status_code, span.status_description) == (StatusCode.ERROR, "no such order")
    assert span.attributes["error.type"] == "LookupError"


def test_an_exception_that_cannot_be_printed_is_recorded_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    span = Span("failed")
    span.record_exception(Mute())
    assert span.status_description == "<Mute whose str() fails>"
    assert str(span.attributes["error.type"]).endswith("Mute")


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([(StatusCode.ERROR, "bad")], (StatusCode.ERROR, "bad")),
        ([(StatusCode.OK, "ignored")], (StatusCode.OK, "")),
        ([(StatusCode.OK, None), (StatusCode.ERROR, "too late")], (StatusCode.OK, "")),
        ([(StatusCode.ERROR, "bad"), (StatusCode.OK, None)], (StatusCode.OK, "")),
    ],
)
def test_status(
    codes: list[tuple[StatusCode, str | None]], expected: tuple[StatusCode, str]
) -> None:
    span = Span("status")
    for code, description in codes:
        span.set_status(code, description)
    assert (span.status_code, span.status_description) == expected


def test_a_request_keeps_its_newest_spans() -> None:
    request = Request("id", "GET", "/", 1)
    request.span = Span("GET", kind=SpanKind.SERVER, request=request)
    assert list(request.spans) == []
    for number in range(3007):
        Span(str(number), request=request).end()
    names = [span.name for span in request.spans]
    assert names == [str(n) for n in range(2007, 3007)]


def test_a_span_may_end_while_another_is_kept() -> None:
    """A finalizer may run at any allocation; one that ends a span must not wait for itself."""
    request = Request("id", "GET", "/", 1)
    request.span = Span("GET", request=request)

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            Span("in a finalizer", request=request).end()

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(300):
            Cycle()
            Span("outside", request=request).end()
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    names = [span.name for span in request.spans]
    assert names.count("in a finalizer") == names.count("outside") == 300


def test_the_limits_may_be_others() -> None:
    limits = {"attributes": 2, "events": 1, "links": 1, "event_attributes": 1, "link_attributes": 0}
    _native.set_span_limits(**limits, value_length=3)
    try:
        values = {"a": "long text", "b": ["long text", b"long bytes"], "c": 3}
        span = Span("small", attributes=values)  # type: ignore[arg-type]
        for _ in range(2):
            span.add_event("event", values)  # type: ignore[arg-type]
            span.add_link(span, values)  # type: ignore[arg-type]
    finally:
        _native.set_span_limits(
            attributes=MAXIMUM_ATTRIBUTES,
            events=MAXIMUM_EVENTS,
            links=MAXIMUM_LINKS,
            event_attributes=128,
            link_attributes=128,
            value_length=MAXIMUM_VALUE_LENGTH,
        )
    assert span.attributes == {"a": "lon", "b": ("lon", b"lon")}
    assert span.dropped_attributes == 1
    assert [event.attributes for event in span.events] == [{"a": "lon"}]
    assert span.links == [(span.context, {})]
    assert (span.dropped_events, span.dropped_links) == (1, 1)


def test_what_makes_no_sense_is_said() -> None:
    span: Any = Span("odd")
    for call in (
        lambda: Span(),  # type: ignore[call-arg]
        lambda: Span("a", SpanKind.CLIENT),  # type: ignore[call-arg]
        lambda: Span("a", colour="red"),  # type: ignore[call-arg]
        lambda: Span("a", parent="b"),  # type: ignore[arg-type]
        lambda: Span("a", start_time="now"),  # type: ignore[arg-type]
        lambda: Span("a", scope="text"),  # type: ignore[arg-type]
        lambda: span.add_link("other"),
        lambda: span.add_event(),
        lambda: span.set_attribute("key", "value", "more"),
        lambda: span.set_attribute("key", key="again"),
        lambda: span.set_status("bad"),
        lambda: span.end("now"),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ValueError, match="SpanKind"):
        Span("a", kind=9)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="StatusCode"):
        span.set_status(3)
    with pytest.raises(OverflowError):
        Span("a", start_time=-1)
    assert span.is_recording()


def test_a_subclass_is_a_span(ended: list[Span]) -> None:
    class Mine(Span):
        mine: int

    span = Mine("sub", attributes={"a": 1}, start_time=5)
    span.mine = 1
    span.end(6)
    assert ended == [span]
    assert (span.name, span.attributes, span.start_time) == ("sub", {"a": 1}, 5)
    with pytest.raises(TypeError):
        Mine()  # type: ignore[call-arg]


def test_what_an_exception_s_attributes_are_may_be_said() -> None:
    span = Span("failed")
    span.record_exception(ValueError("x"), {"exception.escaped": True}, 77)
    (event,) = span.events
    assert event.timestamp == 77
    assert event.attributes["exception.escaped"] is True
    assert event.attributes["exception.type"] == "ValueError"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_trouble_of_who_keeps_spans_is_not_the_application_s(encoded: Encoded) -> None:
    def fail(span: Span) -> None:
        raise RuntimeError("on purpose")

    set_sink(fail)
    try:
        Span("one").end()
    finally:
        set_sink(None)
    assert encoded.span().name == "one"


def test_it_may_change_while_it_is_looked_at() -> None:
    """An allocation may run a finalizer, which may do anything to the same span."""
    span = Span("busy")

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            span.set_attribute(f"key-{len(span.attributes)}", [1, 2])
            span.add_event("event", {"a": 1})
            span.add_link(span, {"a": 1})

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(200):
            Cycle()
            assert len(span.attributes) <= MAXIMUM_ATTRIBUTES
            assert all(event.attributes == {"a": 1} for event in span.events)
            assert all(link.attributes == {"a": 1} for link in span.links)
            span.set_attributes({"x": [3, 4], "y": {"z": 1}})  # type: ignore[dict-item]
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert span.dropped_links > 0


def test_a_span_and_its_request_are_garbage_together() -> None:
    request = Request("id", "GET", "/", 1)
    request.span = Span("GET", request=request)
    Span("part", request=request).end()
    gone = weakref.ref(request)
    del request
    gc.collect()
    assert gone() is None


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # threads of others
def test_ids_do_not_repeat_in_a_forked_child() -> None:
    script = """
import os
from asynchooks import _native
make = lambda: int(_native.request_id_from(""), 16)
make()
ids = [make()]
reader, writer = os.pipe()
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        os.write(writer, b"%d " % make())
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
os.close(writer)
ids += map(int, os.fdopen(reader).read().split())
ids.append(make())
assert len(set(ids)) == 5, ids
assert 0 not in ids
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_nothing_is_left_of_them(encoded: Encoded) -> None:
    def work(times: int) -> None:
        for number in range(times):
            request = start_request(request_id="r", method="GET", path="/")
            with use_span(request.span):
                span = start_span("part", attributes={"a": f"{number}", "b": [1, 2]})
                span.add_event("event", {"n": number})
                span.add_link(request.span, {"n": number})
                span.record_exception(ValueError(str(number)))
                _ = span.context, span.parent, span.attributes, span.events, span.links
                span.end()
                span.add_event("late")
            request.span.end()
            encoded.body()
        gc.collect()

    work(300)
    before = sys.getallocatedblocks()
    work(300)
    assert sys.getallocatedblocks() - before < 100

"""Span: OpenTelemetry's rules, and ours for what comes too late or too much."""

from __future__ import annotations

import gc

import pytest

from asynchooks.tracing import Span, SpanContext, SpanKind, StatusCode
from asynchooks.tracing.limits import DEFAULT_LIMITS
from asynchooks.tracing.request import MAXIMUM_SPANS, Request


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
    for number in range(DEFAULT_LIMITS.attributes + 5):
        span.set_attribute(f"key-{number}", number)
    span.set_attribute("key-0", "changed")
    for _ in range(DEFAULT_LIMITS.events + 3):
        span.add_event("event")
    assert (len(span.attributes), span.dropped_attributes) == (DEFAULT_LIMITS.attributes, 5)
    assert span.attributes["key-0"] == "changed"
    assert (len(span.events), span.dropped_events) == (DEFAULT_LIMITS.events, 3)


def test_a_long_value_is_cut() -> None:
    span = Span("long", attributes={"text": "x" * (DEFAULT_LIMITS.value_length + 1)})
    assert span.attributes["text"] == "x" * DEFAULT_LIMITS.value_length


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
    for number in range(3 * MAXIMUM_SPANS + 7):
        Span(str(number), request=request).end()
    names = [span.name for span in request.spans]
    assert names == [str(n) for n in range(2 * MAXIMUM_SPANS + 7, 3 * MAXIMUM_SPANS + 7)]


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

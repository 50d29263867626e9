"""Spans that are not sampled, and who decides that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from asynchooks import _native
from asynchooks.tracing import (
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    current_request,
    start_request,
    start_span,
    use_span,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.tracing.conftest import Encoded

UNSAMPLED = SpanContext(7, 8, trace_flags=0, is_remote=True)


@pytest.fixture
def asked() -> Iterator[list[Any]]:
    """What the sampler was asked."""
    yield []
    _native.set_sampler(None)


def test_nothing_is_kept_of_one_that_is_not_sampled(encoded: Encoded, ended: list[Span]) -> None:
    span = Span("quiet", parent=UNSAMPLED, kind=SpanKind.SERVER, attributes={"a": 1})
    assert not span.is_recording()
    span.set_attribute("b", 2)
    span.set_attributes({"c": 3})
    span.add_event("event", {"d": 4})
    span.add_link(UNSAMPLED)
    span.record_exception(ValueError("x"))
    span.set_status(StatusCode.ERROR, "no")
    span.update_name("loud")
    span.end()
    span.add_event("late")
    assert (span.name, span.kind) == ("quiet", SpanKind.SERVER)
    assert (span.attributes, span.events, span.links) == ({}, [], [])
    assert (span.dropped_attributes, span.dropped_events, span.dropped_links) == (0, 0, 0)
    assert (span.status_code, span.status_description) == (StatusCode.UNSET, "")
    assert (span.start_time, span.end_time, span.call_site) == (0, None, None)
    assert ended == []
    assert encoded.buffer.stats() == (0, 0, 0, 0)


def test_it_has_an_identity_all_the_same() -> None:
    span = Span("quiet", parent=UNSAMPLED)
    assert span.parent == UNSAMPLED
    assert span.context.trace_id == 7
    assert span.context.span_id not in (0, 8)
    assert span.context.trace_flags == 0


def test_a_request_that_is_not_sampled_is_a_request(ended: list[Span]) -> None:
    request = start_request(request_id="r", method="GET", path="/", parent=UNSAMPLED)
    with use_span(request.span):
        assert current_request() is request
        child = start_span("query", attributes={"a": 1})
        assert child.request is request
        assert not child.is_recording()
        child.end()
    request.span.end()
    assert request.start_time.year > 2000
    assert request.spans == ()
    assert ended == []


def test_roots_are_decided_by_the_sampler(asked: list[Any]) -> None:
    def sample(*question: Any) -> bool:
        asked.append(question)
        return bool(question[0] != "boring")

    _native.set_sampler(sample)
    boring = Span("boring", kind=SpanKind.CLIENT, attributes={"a": 1})
    other = Span("other")
    child = Span("boring", parent=other)
    assert not boring.is_recording()
    assert other.is_recording()
    assert child.is_recording()
    assert boring.context.trace_flags == 0
    assert other.context.trace_flags == 1
    assert asked == [
        ("boring", SpanKind.CLIENT, None, boring.context.trace_id, {"a": 1}),
        ("other", SpanKind.INTERNAL, None, other.context.trace_id, None),
    ]


def test_it_may_decide_about_children_too(asked: list[Any]) -> None:
    def sample(name: str, kind: SpanKind, parent: SpanContext | None, *more: Any) -> bool:
        asked.append(parent)
        return name == "yes"

    _native.set_sampler(sample, True)
    parent = start_span("no")
    with use_span(parent):
        child = start_span("yes")
        assert child is not parent
        assert child.is_recording()
        grandchild = Span("no", parent=child)
        assert not grandchild.is_recording()
    assert asked == [None, parent.context, child.context]


def test_it_may_add_attributes_and_a_trace_state(asked: list[Any], encoded: Encoded) -> None:
    _native.set_sampler(lambda *question: (True, {"rate": 0.5}, "vendor=1"))
    span = Span("root", attributes={"a": 1})
    assert span.attributes == {"rate": 0.5, "a": 1}
    assert span.context.trace_state == "vendor=1"
    span.end()
    assert encoded.span().trace_state == "vendor=1"
    _native.set_sampler(lambda *question: (False, None, None))
    assert not Span("root").is_recording()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_fails_is_reported_and_all_is_sampled(asked: list[Any]) -> None:
    def fail(*question: Any) -> bool:
        raise LookupError("on purpose")

    _native.set_sampler(fail)
    assert Span("root").is_recording()
    _native.set_sampler(lambda *question: (True, 7, None))  # type: ignore[arg-type]
    assert Span("root").is_recording()
    assert Span("root").dropped_attributes == 1


def test_children_of_what_is_not_sampled_are_it_itself() -> None:
    parent = Span("quiet", parent=UNSAMPLED)
    assert start_span("child", parent=parent) is parent
    with use_span(parent):
        assert start_span("child") is parent
        assert start_span("root", parent=None).is_recording()

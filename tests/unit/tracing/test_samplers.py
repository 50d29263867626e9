"""Which traces are recorded: at their beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asynchooks import tracing
from asynchooks.tracing import (
    Span,
    SpanContext,
    current_request,
    start_request,
    start_span,
    use_request,
)
from asynchooks.tracing.sampling import (
    SAMPLERS,
    RateLimit,
    Sampler,
    always_off,
    always_on,
    limited,
    parent_based,
    set_sampler,
    trace_id_ratio,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLED = SpanContext(1, 2, 1, is_remote=True)
NOT_SAMPLED = SpanContext(1, 2, 0, is_remote=True)


@pytest.fixture(autouse=True)
def default_sampler() -> Iterator[None]:
    yield
    set_sampler(tracing.DEFAULT_SAMPLER)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Without a parent, below one that is sampled, below one that is not.
        ("always_on", (True, True, True)),
        ("always_off", (False, False, False)),
        ("traceidratio", (False, False, False)),
        ("parentbased_always_on", (True, True, False)),
        ("parentbased_always_off", (False, True, False)),
        ("parentbased_traceidratio", (False, True, False)),
    ],
)
def test_samplers(name: str, expected: tuple[bool, bool, bool]) -> None:
    sampler = SAMPLERS[name](0.0)
    assert (sampler(None, 5), sampler(SAMPLED, 5), sampler(NOT_SAMPLED, 5)) == expected


def test_a_ratio_is_of_the_random_part_of_the_trace_id_as_in_other_services() -> None:
    sampler = trace_id_ratio(0.25)
    quarter = 1 << 62
    for high in (0, 1 << 100):
        assert sampler(None, high | (quarter - 1))
        assert not sampler(None, high | quarter)
    assert trace_id_ratio(1.0)(None, (1 << 128) - 1)
    assert not trace_id_ratio(0.0)(None, 0)


def test_a_rate_limit() -> None:
    now = 100.0
    limit = RateLimit(2.0, clock=lambda: now)
    assert [limit.take() for _ in range(3)] == [True, True, False]
    now += 0.5
    assert [limit.take() for _ in range(2)] == [True, False]
    now += 60
    assert [limit.take() for _ in range(3)] == [True, True, False]


def test_less_than_one_a_second() -> None:
    now = 0.0
    limit = RateLimit(0.5, clock=lambda: now)
    assert [limit.take(), limit.take()] == [True, False]
    now = 1.0
    assert not limit.take()
    now = 2.0
    assert limit.take()


def test_a_limited_sampler_counts_only_what_is_sampled() -> None:
    sampler = limited(parent_based(always_on), RateLimit(1.0, clock=lambda: 0.0))
    assert not sampler(NOT_SAMPLED, 1)
    assert sampler(SAMPLED, 1)
    assert not sampler(SAMPLED, 1)


def test_the_sampler_is_asked_once_a_trace(ended: list[Span]) -> None:
    asked: list[tuple[SpanContext | None, int]] = []

    def sampler(parent: SpanContext | None, trace_id: int) -> bool:
        asked.append((parent, trace_id))
        return True

    set_sampler(sampler)
    root = start_span("root", parent=None)
    start_span("child", parent=root)
    remote = start_span("server", parent=SAMPLED)
    assert asked == [(None, root.context.trace_id), (SAMPLED, 1)]
    assert remote.parent == SAMPLED


@pytest.mark.parametrize("sampler", [always_on, always_off])
def test_a_request_and_all_below_it_follow_one_decision(
    ended: list[Span], engine: None, sampler: Sampler
) -> None:
    set_sampler(sampler)
    request = start_request(request_id="r", method="GET", path="/", attributes={"a": 1})
    request.route = "/"
    with use_request(request):
        child = start_span("child", attributes={"b": 2})
        assert current_request() is request
        assert (tracing.recording_span() is request.span) is (sampler is always_on)
    child.end()
    request.span.end()
    is_recorded = sampler is always_on
    assert tracing.is_sampled(request.span.context) is is_recorded
    assert tracing.is_sampled(child.context) is is_recorded
    assert child.context.trace_id == request.span.context.trace_id
    assert child.request is request
    assert [span.name for span in ended] == (["child", "GET /"] if is_recorded else [])
    assert len(request.spans) == len(ended)


def test_what_is_not_recorded_keeps_nothing() -> None:
    set_sampler(always_off)
    span = start_span("span", attributes={"a": 1})
    span.set_attribute("b", 2)
    span.set_attributes({"c": 3})
    span.add_event("event")
    span.add_link(SAMPLED)
    span.record_exception(LookupError())
    span.set_status(tracing.StatusCode.ERROR)
    span.update_name("other")
    span.end()
    assert not span.is_recording()
    assert (dict(span.attributes), list(span.events), list(span.links)) == ({}, [], [])


def test_tasks_of_an_unsampled_request_have_no_spans(engine: None) -> None:
    import asyncio

    from asynchooks.tracing.current import task_spans

    open_spans: list[int] = []

    async def child() -> None:
        open_spans.append(len(task_spans))

    async def main() -> None:
        with use_request(start_request(request_id="r", method="GET", path="/")):
            await asyncio.create_task(child())

    tracing.tasks.install()
    try:
        asyncio.run(main())
        set_sampler(always_off)
        asyncio.run(main())
    finally:
        tracing.tasks.uninstall()
    assert open_spans == [1, 0]

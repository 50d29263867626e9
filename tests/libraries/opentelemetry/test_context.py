"""OpenTelemetry's context and ours are one."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, context, propagate
from opentelemetry import trace as api
from opentelemetry.context import Context

from asynchooks import opentelemetry, tracing
from asynchooks.opentelemetry.spans import ApiSpan
from asynchooks.tracing import (
    current_baggage,
    current_span,
    is_suppressed,
    start_span,
    suppress_tracing,
    use_baggage,
    use_span,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.libraries.conftest import Trace


@pytest.fixture(autouse=True)
def no_failed_detach(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The API complains of nothing."""
    yield
    complaints = [r for r in caplog.records if r.name.startswith("opentelemetry")]
    assert complaints == []


def name_of(span: api.Span) -> str:
    assert isinstance(span, ApiSpan)
    return span.name


def test_values_are_attached_and_detached(connected: Trace) -> None:
    assert context.get_current() == {}
    attached = context.set_value("key", "value")
    token = context.attach(attached)
    assert context.get_current() is attached
    assert context.get_value("key") == "value"
    inner = context.attach(context.set_value("other", 2))
    assert context.get_current() == {"key": "value", "other": 2}
    context.detach(inner)
    context.detach(token)
    assert context.get_current() == {}


def test_a_value_is_asked_for_in_every_way(connected: Trace) -> None:
    get: Any = context.get_value
    other = Context({"key": "of another"})
    with use_span(start_span("ours")):
        ways: list[Callable[[], Any]] = [
            lambda: get("key", None),
            lambda: get(key="key", context=None),
        ]
        for ask in ways:
            assert ask() is None
            token = context.attach(context.set_value("key", "value"))
            assert ask() == "value"
            context.detach(token)
        assert get("key", other) == get("key", context=other) == "of another"
        with pytest.raises(TypeError, match="get_value"):
            get()
        with pytest.raises(TypeError, match="unhashable"):
            get([])
    assert inspect.isfunction(get)


def test_values_stay_below_spans_of_ours(connected: Trace) -> None:
    token = context.attach(context.set_value("key", "value"))
    with use_span(start_span("ours")):
        assert context.get_value("key") == "value"
        assert name_of(api.get_current_span()) == "ours"
    context.detach(token)


def test_a_request_begins_without_them(connected: Trace) -> None:
    token = context.attach(baggage.set_baggage("tenant", "a", context.set_value("key", "value")))
    request = tracing.start_request(request_id="r", method="GET", path="/")
    with suppress_tracing(), tracing.use_request(request):
        assert context.get_value("key") is None
        assert baggage.get_all() == {}
        assert not is_suppressed()
        assert name_of(api.get_current_span()) == "GET"
    context.detach(token)


def test_baggage_is_ours_and_the_api_s(connected: Trace) -> None:
    with use_baggage({"ours": "1"}):
        assert baggage.get_all() == {"ours": "1"}
        token = context.attach(baggage.set_baggage("theirs", "2"))
        assert current_baggage() == {"ours": "1", "theirs": "2"}
        with use_span(start_span("span")):
            assert baggage.get_baggage("theirs") == "2"
        context.detach(token)
        assert current_baggage() == {"ours": "1"}
        token = context.attach(baggage.clear())
        assert current_baggage() == {}
        context.detach(token)
    assert baggage.get_all() == {}


def test_the_api_s_propagators_send_our_span_and_baggage(connected: Trace) -> None:
    headers: dict[str, str] = {}
    with connected.request() as request, use_baggage({"tenant": "a"}):
        propagate.inject(headers)
        assert headers == tracing.inject(request.span.context)
    assert headers["baggage"] == "tenant=a"


def test_what_the_api_s_propagators_extract_is_the_parent(connected: Trace) -> None:
    headers = {"traceparent": f"00-{7:032x}-{9:016x}-01", "baggage": "tenant=a"}
    token = context.attach(propagate.extract(headers))
    assert current_baggage() == {"tenant": "a"}
    parent = current_span()
    assert parent is not None
    assert parent.context == (7, 9, 1, "", True)
    start_span("below").end()
    context.detach(token)
    (span,) = connected.spans
    assert span.parent == parent.context
    assert span.context.trace_id == 7


def test_suppression_is_ours_and_the_api_s(connected: Trace) -> None:
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY as KEY

    with suppress_tracing():
        assert context.get_value(KEY)
        with use_span(None):
            assert context.get_value(KEY)
    token = context.attach(context.set_value(KEY, True))
    assert is_suppressed()
    context.detach(token)
    assert not is_suppressed()
    assert not context.get_value(KEY)


def test_tasks_and_threads_have_their_own(tracer: api.Tracer, connected: Trace) -> None:
    seen: dict[str, str] = {}

    def note(where: str) -> None:
        seen[where] = name_of(api.get_current_span())

    async def child() -> None:
        note("task")
        with tracer.start_as_current_span("in task"):
            await asyncio.sleep(0)
            note("in task")

    async def main() -> None:
        with connected.request(), tracer.start_as_current_span("outer") as outer:
            await asyncio.gather(child(), asyncio.to_thread(note, "pool"))
            thread = threading.Thread(target=note, args=("thread",))
            thread.start()
            thread.join()
            assert api.get_current_span() is outer

    asyncio.run(main())
    assert seen == {
        "task": f"task {child.__qualname__}",
        "in task": "in task",
        "pool": "outer",
        "thread": "outer",
    }
    outer, task = connected.named("outer"), connected.named(f"task {child.__qualname__}")
    assert task.parent == outer.context
    assert connected.named("in task").parent == task.context


async def spans_over_yields(tracer: api.Tracer) -> AsyncIterator[int]:
    with tracer.start_as_current_span("generator"):
        yield 1
        yield 2


def test_a_generator_that_is_left_early_leaves_no_span_behind(
    tracer: api.Tracer, connected: Trace
) -> None:
    """The generator is closed in a task that the loop makes for it, in another context."""
    after: list[api.Span] = []

    async def main() -> None:
        with tracer.start_as_current_span("consumer") as consumer:
            async for _ in spans_over_yields(tracer):
                break
            gc.collect()
            while not any(span.name == "generator" for span in connected.spans):
                await asyncio.sleep(0)
            after.append(api.get_current_span())
            assert after == [consumer]
            tracer.start_span("next").end()
        after.append(api.get_current_span())

    asyncio.run(main())
    assert after[1] is api.INVALID_SPAN
    assert connected.named("next").parent == connected.named("consumer").context


def test_a_generator_that_is_closed_inside_of_a_span_leaves_that_current(
    tracer: api.Tracer, connected: Trace
) -> None:
    async def main() -> None:
        generator: Any = spans_over_yields(tracer)
        await anext(generator)
        with tracer.start_as_current_span("consumer") as consumer:
            await generator.aclose()
            assert api.get_current_span() is consumer
        assert api.get_current_span() is api.INVALID_SPAN

    asyncio.run(main())


def test_a_token_of_another_context_is_no_error(connected: Trace) -> None:
    token = contextvars.copy_context().run(context.attach, Context({"key": 1}))
    context.detach(token)
    context.detach(token)
    assert context.get_current() == {}


def test_what_was_attached_before_us_is_there_and_can_be_detached(trace: Trace) -> None:
    token = context.attach(Context({"key": "before"}))
    opentelemetry.install()
    assert context.get_value("key") == "before"
    inner = context.attach(context.set_value("other", 1))
    assert context.get_current() == {"key": "before", "other": 1}
    context.detach(inner)
    context.detach(token)
    assert context.get_current() == {}
    opentelemetry.uninstall()
    assert context.get_current() == {}


def test_without_us_a_generator_that_is_left_early_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What the tests above would see."""
    token = contextvars.copy_context().run(context.attach, Context({"key": 1}))
    with caplog.at_level(logging.ERROR):
        context.detach(token)
    assert "Failed to detach context" in caplog.text
    caplog.clear()

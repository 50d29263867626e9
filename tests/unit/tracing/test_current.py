"""Which span and request are current, in tasks, threads and callbacks."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

import asynchooks
from asynchooks import tracing
from asynchooks.tracing import (
    Request,
    Span,
    SpanKind,
    current_request,
    current_span,
    start_request,
    start_span,
    suppress_tracing,
    tasks,
    use_span,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def request_() -> Iterator[Request]:
    """A request that is current during the test."""
    request = start_request(request_id="r1", method="GET", path="/orders/7")
    with use_span(request.span):
        yield request
    request.span.end()


@pytest.fixture
def task_spans(engine: None) -> Iterator[None]:
    """Tasks have spans."""
    tasks.install()
    yield
    tasks.uninstall()


def test_outside_of_a_request_there_is_none() -> None:
    assert asynchooks.current_request() is None
    assert current_span() is None
    assert start_span("alone").request is None


def test_what_a_request_tells(request_: Request) -> None:
    before = datetime.now(UTC)
    assert asynchooks.current_request() is request_
    assert (request_.id, request_.method, request_.path) == ("r1", "GET", "/orders/7")
    assert request_.route is None
    assert request_.user is None
    assert request_.start_time <= before
    assert request_.trace_id == f"{request_.span.context.trace_id:032x}"
    assert request_.span.kind is SpanKind.SERVER
    with use_span(start_span("part")) as span:
        assert span is not None
        span.end()
    assert [span.name for span in request_.spans] == ["part"]


def test_route_and_user_may_be_set(request_: Request) -> None:
    request_.route = "/orders/{order_id}"
    request_.user = "ada"
    assert request_.span.name == "GET /orders/{order_id}"
    assert request_.span.attributes["http.route"] == "/orders/{order_id}"
    assert request_.span.attributes["enduser.id"] == "ada"
    assert repr(request_) == "<Request r1 GET /orders/{order_id}>"


def test_a_request_is_a_new_root_inside_another(engine: None, request_: Request) -> None:
    inner = start_request(request_id="r2", method="GET", path="/")
    assert inner.span.context.trace_id != request_.span.context.trace_id
    assert inner.root_async_id != request_.root_async_id
    assert inner.span.parent is None


def test_spans_nest_and_leaving_restores(request_: Request) -> None:
    outer = start_span("outer")
    with use_span(outer):
        inner = start_span("inner")
        assert inner.parent == outer.context
        with use_span(inner):
            assert current_span() is inner
        assert current_span() is outer
    assert current_span() is request_.span


def test_leaving_in_another_context_does_not_raise() -> None:
    scope = use_span(start_span("generator"))
    contextvars.copy_context().run(scope.__enter__)
    scope.__exit__(None, None, None)
    assert current_span() is None


def test_an_explicit_parent_or_none(request_: Request) -> None:
    other = Span("other")
    assert start_span("below", parent=other).parent == other.context
    assert start_span("below", parent=other.context).parent == other.context
    assert start_span("root", parent=None).parent is None


def test_what_is_suppressed_is_not_recorded(request_: Request, ended: list[Span]) -> None:
    with suppress_tracing():
        assert tracing.is_suppressed()
        span = start_span("hidden")
        assert not span.is_recording()
        span.end()
    assert not tracing.is_suppressed()
    assert ended == []


def test_the_call_site_is_this_line(request_: Request) -> None:
    span = start_span("here")
    assert span.call_site is not None
    code, line, _ = span.call_site
    assert code.co_filename == __file__
    assert line == test_the_call_site_is_this_line.__code__.co_firstlineno + 1


def test_context_reaches_threads_timers_and_pools(engine: None, request_: Request) -> None:
    seen: list[object] = []

    def look() -> None:
        seen.append(current_request())

    for thread in (threading.Thread(target=look), threading.Timer(0, look)):
        thread.start()
        thread.join()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(look).result()
        list(pool.map(lambda _: look(), [1]))

    async def main() -> None:
        await asyncio.to_thread(look)
        await asyncio.get_running_loop().run_in_executor(None, look)
        done = asyncio.Event()

        def call_back() -> None:
            look()
            done.set()

        threading.Thread(
            target=asyncio.get_running_loop().call_soon_threadsafe, args=(call_back,)
        ).start()
        await done.wait()

    asyncio.run(main())
    assert seen == [request_] * 7


def test_a_task_is_a_span_below_its_creator_s(
    task_spans: None, request_: Request, ended: list[Span]
) -> None:
    async def leaf() -> Span | None:
        return current_span()

    async def branch() -> Span | None:
        return await asyncio.create_task(leaf())

    async def main() -> Span | None:
        return await asyncio.create_task(branch())

    innermost = asyncio.run(main())
    by_name = {span.name.rpartition(".")[2]: span for span in ended}
    assert innermost is by_name["leaf"]
    assert by_name["leaf"].parent == by_name["branch"].context
    assert by_name["branch"].parent == by_name["main"].context
    assert by_name["main"].parent == request_.span.context
    assert all(span.request is request_ for span in ended)
    assert by_name["leaf"].call_site is not None
    assert by_name["leaf"].call_site[0].co_qualname.endswith("branch")


def test_a_scope_inside_a_task_wins_over_the_task_s_span(
    task_spans: None, request_: Request
) -> None:
    async def main() -> tuple[Span | None, Span, Span | None]:
        with use_span(start_span("scope")) as scope:
            assert scope is not None
            inside = current_span()
        return inside, scope, current_span()

    inside, scope, after = asyncio.run(main())
    assert inside is scope
    assert after is not None
    assert after.name.startswith("task ")


def test_a_task_is_called_as_it_was_named(
    task_spans: None, request_: Request, ended: list[Span]
) -> None:
    async def work() -> None:
        pass

    async def main() -> None:
        await asyncio.create_task(work(), name="refresh")
        await asyncio.create_task(work())

    asyncio.run(main())
    assert ended[0].name == "task refresh"
    assert ended[1].name.endswith(".work")


def test_how_a_task_ended(task_spans: None, request_: Request, ended: list[Span]) -> None:
    async def fails() -> None:
        raise LookupError("gone")

    async def waits() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        failing = asyncio.create_task(fails())
        waiting = asyncio.create_task(waits())
        await asyncio.wait([failing])
        waiting.cancel()
        await asyncio.wait([waiting])
        with pytest.raises(LookupError):
            failing.result()

    asyncio.run(main())
    by_name = {span.name.rpartition(".")[2]: span for span in ended}
    assert by_name["fails"].attributes["error.type"] == "LookupError"
    assert by_name["fails"].status_description == "gone"
    assert by_name["waits"].attributes["asynchooks.cancelled"] is True
    assert by_name["waits"].status_description == ""


def test_asyncio_still_warns_of_an_exception_that_nobody_fetched(
    task_spans: None, request_: Request
) -> None:
    reports: list[str] = []

    async def fails() -> None:
        raise LookupError("gone")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reports.append(context["message"])
        )
        await asyncio.wait([asyncio.create_task(fails())])

    asyncio.run(main())
    assert reports == ["Task exception was never retrieved"]


def test_a_task_that_outlives_its_request_says_so(task_spans: None, ended: list[Span]) -> None:
    async def later(may_end: asyncio.Event) -> Request | None:
        await may_end.wait()
        return current_request()

    async def main() -> tuple[Request, Request | None]:
        request = start_request(request_id="r1", method="GET", path="/")
        may_end = asyncio.Event()
        with use_span(request.span):
            task = asyncio.create_task(later(may_end))
        request.span.end()
        may_end.set()
        return request, await task

    request, seen = asyncio.run(main())
    assert seen is request
    (span,) = (span for span in ended if span.name.startswith("task "))
    assert span.attributes["asynchooks.outlives_request"] is True


def test_a_task_that_is_made_after_its_request_is_marked_and_linked(
    task_spans: None, ended: list[Span]
) -> None:
    async def main() -> Request:
        request = start_request(request_id="r1", method="GET", path="/")
        with use_span(request.span):
            request.span.end()
            await asyncio.create_task(asyncio.sleep(0))
        return request

    request = asyncio.run(main())
    (span,) = (span for span in ended if span.name.startswith("task "))
    assert span.parent == request.span.context
    assert span.attributes["asynchooks.outlives_parent"] is True
    assert [link.context for link in span.links] == [request.span.context]


def test_the_context_of_a_task_holds_nothing_of_its_span(
    task_spans: None, request_: Request
) -> None:
    """What `copy_context()` shows inside a task is what it shows without us."""

    async def look() -> dict[str, object]:
        return {variable.name: value for variable, value in contextvars.copy_context().items()}

    async def main() -> tuple[dict[str, object], dict[str, object]]:
        return await look(), await asyncio.create_task(look())

    outer, inner = asyncio.run(main())
    assert outer == inner


def test_nothing_of_a_task_is_kept(task_spans: None, request_: Request) -> None:
    from asynchooks.tracing import current

    async def main() -> None:
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(100)))

    asyncio.run(main())
    assert not current.task_spans
    assert not tasks._tasks

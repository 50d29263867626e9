"""link(), shared() and held() where requests are traced."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import asynchooks
from asynchooks.tracing import Span, links, set_sink, start_request, start_span, use_span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asynchooks.tracing import Request


@pytest.fixture
def spans(engine: None) -> Iterator[list[Span]]:
    """The spans that have ended, with links between them."""
    ended: list[Span] = []
    set_sink(ended.append)
    links.install()
    yield ended
    links.uninstall()
    set_sink(None)


@contextmanager
def request(name: str) -> Iterator[Request]:
    made = start_request(request_id=name, method="GET", path="/")
    with use_span(made.span):
        yield made
    made.span.end()


def test_a_link_is_a_link_between_spans(spans: list[Span]) -> None:
    with request("A") as a:
        here = asynchooks.snapshot()
    with request("B") as b, use_span(start_span("batch")) as batch:
        assert batch is not None
        asynchooks.link(here)
        asynchooks.link(a.root_async_id)
        asynchooks.link(b.root_async_id)
        asynchooks.link(object())
    targets = [link.context for link in batch.links]
    assert targets == [a.span.context, a.span.context, b.span.context]


def test_shared_work_is_a_trace_of_its_own_linked_to_all_who_wait(spans: list[Span]) -> None:
    @asynchooks.shared
    async def rate() -> Span:
        span = start_span("query")
        await asyncio.sleep(0)
        span.end()
        return span

    async def handle(name: str) -> tuple[Request, Span]:
        with request(name) as made:
            return made, await rate()

    async def main() -> None:
        handled = await asyncio.gather(handle("A"), handle("B"))
        (shown,) = (span for span in spans if span.name.startswith("shared "))
        query = handled[0][1]
        assert query.parent is not None
        assert query.parent.span_id == shown.context.span_id
        assert shown.parent is None
        assert query.request is None
        assert [link.context for link in shown.links] == [made.span.context for made, _ in handled]

    asyncio.run(main())


def test_shared_work_that_fails_says_so(spans: list[Span]) -> None:
    @asynchooks.shared
    async def rate() -> None:
        await asyncio.sleep(0)
        raise LookupError("no rate")

    with pytest.raises(LookupError):
        asyncio.run(rate())
    (shown,) = spans
    assert shown.attributes["error.type"] == "LookupError"


def test_a_request_that_has_ended_is_over(spans: list[Span]) -> None:
    storage = asynchooks.AsyncLocalStorage[str]()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        timers: list[asyncio.TimerHandle] = []

        async def handle(name: str) -> None:
            with request(name), storage.use(name):
                timers.append(loop.call_later(3600, timers.clear))
                if name == "open":
                    held = asynchooks.held(storage, ended=True)
                    assert {holder.store for holder in held} == {"over"}

        for name in ("over", "open"):
            await asyncio.create_task(handle(name))
        for timer in timers:
            timer.cancel()

    asyncio.run(main())

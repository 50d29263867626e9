"""asynchooks.held(): who keeps a store alive."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

import asynchooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


Storage = asynchooks.AsyncLocalStorage[Any]


@pytest.fixture
def storage() -> Storage:
    return asynchooks.AsyncLocalStorage(name="held")


def later() -> None:
    """What nobody waits for."""


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_every_kind_that_holds_a_context(
    engine: None, storage: Storage, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def rows() -> AsyncIterator[int]:
        yield 1

    async def main() -> None:
        loop = asyncio.get_running_loop()
        release, thread_release = asyncio.Event(), threading.Event()
        kept: list[Any] = []

        async def request() -> None:
            kept.append(loop.call_later(3600, later))
            kept.append(asyncio.create_task(release.wait()))
            kept.append(asynchooks.AsyncResource("Own"))
            kept.append(asynchooks.snapshot())
            kept.append(rows())
            await anext(kept[-1])
            thread = threading.Thread(target=thread_release.wait, daemon=True)
            thread.start()
            kept.append(thread)

        with storage.use("request"):
            task = asyncio.create_task(request())
            await task
        with storage.use("other"):
            other = asyncio.create_task(release.wait())
        found = asynchooks.held(storage, store="request")
        assert {holder.kind for holder in found} == {
            "Task",
            "Future",  # that the task waits for
            "TimerHandle",
            "AsyncResource",
            "AsyncGenerator",
            "Thread",
        }
        assert {holder.store for holder in found} == {"request"}
        ids = [holder.info.async_id for holder in found]
        assert ids == sorted(set(ids))
        (timer,) = (holder for holder in found if holder.kind == "TimerHandle")
        assert timer.site is not None
        assert timer.site.function == request.__qualname__
        assert str(timer).startswith("'request' held by TimerHandle ")
        (done,) = (holder for holder in found if holder.info.resource is task)
        assert done.info.state == "done", "a task that is kept keeps its context"
        assert {holder.store for holder in asynchooks.held(storage)} == {"request", "other"}
        kept[0].cancel()
        release.set()
        thread_release.set()
        await asyncio.gather(kept[1], other)
        kept[-1].join()
        await kept[4].aclose()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


def test_what_is_left_of_work_that_is_over(engine: None, storage: Storage) -> None:
    async def main() -> None:
        timers: list[asyncio.TimerHandle] = []

        async def request(name: str) -> None:
            with storage.use(name):
                timers.append(asyncio.get_running_loop().call_later(3600, later))
                await asyncio.sleep(0)
                stands.set()
                if name == "stays":
                    await release.wait()

        def start(name: str) -> asyncio.Task[None]:
            with asynchooks.detached():
                return asyncio.create_task(request(name))

        stands, release = asyncio.Event(), asyncio.Event()
        await start("goes")
        stands.clear()
        staying = start("stays")
        await stands.wait()
        assert {holder.store for holder in asynchooks.held(storage)} == {"goes", "stays"}
        (holder,) = asynchooks.held(storage, ended=True)
        assert (holder.kind, holder.store) == ("TimerHandle", "goes")
        release.set()
        await staying
        for timer in timers:
            timer.cancel()

    asyncio.run(main())

"""What is kept, and how much of it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import asynchooks

if TYPE_CHECKING:
    from collections.abc import Callable


def test_stats(engine: None) -> None:
    loop = asyncio.new_event_loop()
    before = asynchooks.stats()
    futures = [loop.create_future() for _ in range(10)]
    handle = loop.call_soon(print)
    after = asynchooks.stats()
    assert set(after.live) == set(asynchooks.KINDS)
    assert after.live["Future"] == before.live["Future"] + 10
    assert after.live["Handle"] == before.live["Handle"] + 1
    assert after.memory > 0
    assert after.untracked == before.untracked
    loop.close()
    del futures, handle


def test_beyond_the_budget_all_goes_on_untracked(enable_with: Callable[..., None]) -> None:
    """And what fits not, nobody hears of; but it breaks nothing."""
    enable_with(memory_budget=100_000)
    untracked = asynchooks.stats().untracked
    inits: list[int] = []
    hook = asynchooks.create_hook(init=lambda async_id, *_: inits.append(async_id), kinds=("Task",))

    async def work(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def main() -> list[int]:
        hook.enable()
        try:
            tasks = [asyncio.create_task(work(number)) for number in range(3000)]
            stats = asynchooks.stats()
            assert stats.memory <= 100_000
            assert stats.untracked > untracked
            live = stats.live["Task"]
            assert len(inits) == live - 1
            found = {info.resource for info in asynchooks.resources(kind="Task")}
            assert len(found) == live
            lost = next(task for task in tasks if task not in found)
            assert asynchooks.async_id(lost) == 0
            lost.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            hook.disable()
        return [result for result in results if isinstance(result, int)]

    assert len(asyncio.run(main())) == 2999


def test_a_budget_of_nothing(enable_with: Callable[..., None]) -> None:
    enable_with(memory_budget=0)

    async def main() -> int:
        assert asynchooks.execution_async_id() == 1, "untracked: the top level"
        return await asyncio.create_task(asyncio.sleep(0, 7))

    assert asyncio.run(main()) == 7
    assert asynchooks.stats().memory == 0


def test_at_most_128_bytes_for_each_of_the_living(engine: None) -> None:
    loop = asyncio.new_event_loop()
    count = 100_000
    before = asynchooks.stats().memory
    futures = [loop.create_future() for _ in range(count)]
    assert (asynchooks.stats().memory - before) / count <= 128
    handle, timer = loop.call_soon(print), loop.call_later(1000, print)
    for ours in (handle, timer):
        theirs = type(ours).__mro__[1]
        assert type(ours).__basicsize__ - theirs.__basicsize__ <= 136
    loop.close()
    del futures


def test_the_memory_of_the_dead_is_given_back(engine: None) -> None:
    loop = asyncio.new_event_loop()
    held = loop.create_future()
    minimum = asynchooks.stats().memory
    for _ in range(10):
        futures = [loop.create_future() for _ in range(100_000)]
        assert asynchooks.stats().memory > 100 * minimum
        del futures
    # A slab is kept for the next, and the places of the numbers of the others.
    assert asynchooks.stats().memory < minimum + 65_536
    loop.close()
    del held


def test_a_snapshot_taken_by_another_thread_is_of_one_moment(engine: None) -> None:
    """What made something is older than it, and each is there once, whatever goes on."""
    looks: list[list[asynchooks.ResourceInfo]] = []
    is_enough = threading.Event()

    def look() -> None:
        while len(looks) < 50:
            looks.append(asynchooks.resources())
        is_enough.set()

    async def main() -> None:
        done = asyncio.Event()
        held = [asyncio.create_task(done.wait()) for _ in range(20)]
        await asyncio.sleep(0)
        thread = threading.Thread(target=look)
        thread.start()
        while not is_enough.is_set():
            await asyncio.gather(*(asyncio.sleep(0) for _ in range(20)))
        thread.join()
        done.set()
        await asyncio.wait(held)

    asyncio.run(main())
    for infos in looks:
        ids = [info.async_id for info in infos]
        assert ids == sorted(set(ids))
        assert sum(info.kind == "Task" for info in infos) >= 21
        for info in infos:
            assert info.created_by < info.async_id
            assert info.root <= info.async_id


def test_the_application_runs_while_another_thread_makes_rows(engine: None) -> None:
    """The rows of a snapshot are made one by one, with the lock of the interpreter let go."""
    loop = asyncio.new_event_loop()
    futures = [loop.create_future() for _ in range(20_000)]
    steps: list[int] = []
    began, ended = threading.Event(), threading.Event()
    during: list[int] = []

    def look() -> None:
        began.set()
        for _ in range(20):
            start = len(steps)
            asynchooks.resources(kind="Future")
            during.append(len(steps) - start)
        ended.set()

    thread = threading.Thread(target=look)
    thread.start()
    began.wait()
    while not ended.is_set():
        steps.append(1)
    thread.join()
    assert any(during)
    loop.close()
    del futures

"""Who awaits, owns and cancels."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.unit.inspection.conftest import InfoOf


async def wait(event: asyncio.Event) -> None:
    await event.wait()


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def by_await(task: asyncio.Task[None]) -> None:
    await task


async def by_gather(task: asyncio.Task[None]) -> None:
    await asyncio.gather(asyncio.sleep(0), task)


async def by_nested_gather(task: asyncio.Task[None]) -> None:
    await asyncio.gather(asyncio.gather(task))


async def by_wait(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task, asyncio.create_task(asyncio.sleep(0))])


async def by_wait_for(task: asyncio.Task[None]) -> None:
    await asyncio.wait_for(task, 1000)


async def by_shield(task: asyncio.Task[None]) -> None:
    await asyncio.shield(task)


async def by_wait_for_a_shield(task: asyncio.Task[None]) -> None:
    await asyncio.wait_for(asyncio.shield(task), 1000)


async def by_timeout(task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(1000):
        await task


@pytest.mark.parametrize(
    "way",
    [
        by_await,
        by_gather,
        by_nested_gather,
        by_wait,
        by_wait_for,
        by_shield,
        by_wait_for_a_shield,
        by_timeout,
    ],
)
def test_awaited_by(
    engine: None, info_of: InfoOf, way: Callable[[asyncio.Task[None]], Coroutine[Any, Any, None]]
) -> None:
    async def main() -> None:
        event = asyncio.Event()
        task = asyncio.create_task(wait(event))
        waiters = [asyncio.create_task(way(task)) for _ in range(2)]
        idle = asyncio.create_task(wait(event))
        await turns()
        expected = sorted(asynchooks.async_id(waiter) for waiter in waiters)
        assert sorted(info_of(task).awaited_by) == expected
        assert info_of(idle).awaited_by == ()
        event.set()
        await asyncio.gather(*waiters, idle)
        assert info_of(task).awaited_by == ()

    asyncio.run(main())


def test_a_shield_is_not_awaited_by_who_awaits_what_it_shields(
    engine: None, info_of: InfoOf
) -> None:
    async def main() -> None:
        event = asyncio.Event()
        task = asyncio.create_task(wait(event))
        outer = asyncio.shield(task)
        waiter = asyncio.create_task(by_await(task))
        await turns()
        assert info_of(outer).awaited_by == ()
        assert info_of(task).awaited_by == (asynchooks.async_id(waiter),)
        event.set()
        await outer

    asyncio.run(main())


def test_a_group_owns_its_tasks_and_its_parent_waits_for_them(
    engine: None, info_of: InfoOf
) -> None:
    async def main() -> None:
        event = asyncio.Event()
        groups: list[asyncio.TaskGroup] = []
        tasks: list[asyncio.Task[None]] = []

        async def parent() -> None:
            async with asyncio.TaskGroup() as group:
                groups.append(group)
                tasks.append(group.create_task(wait(event)))

        task = asyncio.create_task(parent())
        await turns()
        assert info_of(tasks[0]).owned_by is groups[0]
        assert info_of(tasks[0]).awaited_by == (asynchooks.async_id(task),)
        assert info_of(task).owned_by is None
        event.set()
        await task
        assert info_of(tasks[0]).owned_by is None, "it has ended"

    asyncio.run(main())


@pytest.mark.parametrize("debug", [False, True])
def test_cancelled_by(engine: None, info_of: InfoOf, debug: bool) -> None:
    async def main() -> None:
        me = asynchooks.execution_async_id()
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        task = asyncio.create_task(asyncio.wait_for(future, None))
        timer, handle = loop.call_later(1000, print), loop.call_soon(print)
        await asyncio.sleep(0)
        assert info_of(task).cancelled_by == info_of(future).cancelled_by == 0
        canceller = loop.call_soon(task.cancel)
        canceller_id = asynchooks.async_id(canceller)
        timer.cancel()
        handle.cancel()
        await asyncio.wait([task])
        assert info_of(task).cancelled_by == info_of(future).cancelled_by == canceller_id
        assert info_of(task).woken_by == canceller_id
        assert info_of(timer).cancelled_by == info_of(handle).cancelled_by == me
        assert not task.cancel()
        assert info_of(task).cancelled_by == canceller_id, "who comes too late has not done it"

    asyncio.run(main(), debug=debug)

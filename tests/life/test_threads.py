"""Several threads, each with a loop: their steps, causes and hooks are their own."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

import asynchooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Activity

THREADS = 6


@pytest.fixture(autouse=True)
def often_switching() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def in_threads(target: Callable[[int], None]) -> None:
    """`target(index)` in each of several threads; what one raises is raised here."""
    errors: list[BaseException] = []

    def run(index: int) -> None:
        try:
            target(index)
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


async def leaf(expected: int) -> None:
    assert asynchooks.trigger_async_id() == expected
    await asyncio.sleep(0)
    assert asynchooks.trigger_async_id() == expected


async def spawn(rounds: int) -> None:
    for _ in range(rounds):
        me = asynchooks.execution_async_id()
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(leaf(me))
        assert asynchooks.execution_async_id() == me


def test_each_thread_has_causes_of_its_own(engine: None) -> None:
    in_threads(lambda index: asyncio.run(spawn(20)))


def test_one_hook_hears_of_all_threads(activity: Activity) -> None:
    in_threads(lambda index: asyncio.run(spawn(5)))
    tasks = activity.of_type("Task")
    assert len(tasks) == THREADS * (1 + 5 * 10 + 2)  # asyncio.run() has two of its own
    for _, life in tasks:
        assert life.events.count("before") == life.events.count("after") >= 1


def test_hooks_switch_in_all_threads_at_once(engine: None) -> None:
    """Whichever thread switches them, each hears whole events, and the last word counts."""
    heard: Counter[int] = Counter()
    hooks = [
        asynchooks.create_hook(
            **{event: lambda *args, index=index: heard.update([index])}  # type: ignore[arg-type]
        )
        for index, event in enumerate(("init", "before", "after", "settled", "destroy"))
    ]

    async def switch(index: int) -> None:
        for _ in range(30):
            hooks[index % len(hooks)].enable()
            await asyncio.gather(*[asyncio.sleep(0) for _ in range(5)])
            hooks[index % len(hooks)].disable()

    in_threads(lambda index: asyncio.run(switch(index)))
    assert [hook.enabled for hook in hooks] == [False] * len(hooks)
    told = heard.copy()
    asyncio.run(asyncio.sleep(0))
    assert told == heard
    assert set(heard) >= {0, 1, 2, 3}


def test_a_callback_that_blocks_holds_up_its_own_thread_only(engine: None) -> None:
    is_inside, may_leave = threading.Event(), threading.Event()
    told: list[int] = []

    def block(async_id: int) -> None:
        is_inside.set()
        may_leave.wait()

    blocked = asynchooks.AsyncResource("blocked")
    hook = asynchooks.create_hook(before=block, kinds=("AsyncResource",)).enable()
    thread = threading.Thread(target=blocked.run_in_async_scope, args=(int,))
    thread.start()
    is_inside.wait()
    hook.disable()
    assert not hook.enabled
    asynchooks.AsyncResource("not told").run_in_async_scope(int)
    other = asynchooks.create_hook(destroy=told.append).enable()
    asyncio.run(asyncio.sleep(0))
    heard_meanwhile = len(told)
    may_leave.set()
    thread.join()
    other.disable()
    assert heard_meanwhile > 0


def test_deaths_are_told_while_a_threads_loop_runs(engine: None) -> None:
    """Not only when the thread, which is a resource itself, is over."""
    told: list[int] = []
    heard: list[int] = []
    hook = asynchooks.create_hook(destroy=told.append, kinds=("Task",)).enable()

    async def main() -> None:
        for _ in range(100):
            await asyncio.create_task(asyncio.sleep(0))
        heard.append(len(told))

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()
    hook.disable()
    assert heard[0] > 90


def test_a_snapshot_from_another_thread_is_whole(engine: None) -> None:
    is_over = threading.Event()
    wrong: list[object] = []
    taken = 0

    def look() -> None:
        nonlocal taken
        while not is_over.is_set():
            infos = asynchooks.resources()
            ids = [info.async_id for info in infos]
            if len(set(ids)) != len(ids) or 0 in ids:
                wrong.append(ids)
            taken += 1

    async def main() -> None:
        while taken < 50:
            await spawn(2)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        asyncio.run(main())
    finally:
        is_over.set()
        thread.join()
    assert wrong == []

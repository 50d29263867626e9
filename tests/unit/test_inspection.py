"""What is alive, and what made it."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks
from asynchooks import AsyncResource
from asynchooks.tracing import start_request

if TYPE_CHECKING:
    from asynchooks import ResourceInfo


def by_id(**options: Any) -> dict[int, ResourceInfo]:
    return {info.async_id: info for info in asynchooks.resources(**options)}


async def wait(event: asyncio.Event) -> None:
    await event.wait()


def test_every_kind_is_found_with_what_made_it(engine: None) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        me = asynchooks.execution_async_id()
        event = asyncio.Event()
        task = asyncio.create_task(wait(event))
        future = loop.create_future()
        timer = loop.call_later(1000, partial(print, "late"))
        handle = loop.call_soon(event.set)
        resource = AsyncResource("Pool")
        found = {id(info.resource): info for info in asynchooks.resources()}
        for made, kind, name in (
            (task, "Task", "wait"),
            (future, "Future", "Future"),
            (timer, "TimerHandle", "print"),
            (handle, "Handle", "Event.set"),
            (resource, "AsyncResource", "Pool"),
        ):
            info = found[id(made)]
            assert (info.kind, info.name, info.created_by) == (kind, name, me)
            assert info.root == 1
            assert 0 <= info.age < 60
            assert not info.is_adopted
        timer.cancel()
        await task

    asyncio.run(main())


def test_steps_times_and_who_woke_it(engine: None) -> None:
    async def main() -> None:
        event = asyncio.Event()
        task = asyncio.create_task(wait(event))
        await asyncio.sleep(0)
        (before,) = (i for i in asynchooks.resources(kind="Task") if i.resource is task)
        assert before.steps == 1
        assert before.run_time > 0
        event.set()
        await asyncio.sleep(0)
        assert task.done()
        (after,) = (i for i in asynchooks.resources(kind="Task") if i.resource is task)
        assert after.steps == 2
        assert after.run_time > before.run_time
        assert after.woken_by == asynchooks.execution_async_id()

    asyncio.run(main())


def test_by_kind_and_by_root(engine: None) -> None:
    async def main() -> None:
        async def handle(event: asyncio.Event) -> int:
            request = start_request(request_id="r", method="GET", path="/")
            asyncio.get_running_loop().call_later(1000, print).cancel()
            held.append(AsyncResource("Of the request"))
            await event.wait()
            return request.root_async_id

        held: list[AsyncResource] = []
        event = asyncio.Event()
        task = asyncio.create_task(handle(event))
        await asyncio.sleep(0)
        kinds = {info.kind for info in asynchooks.resources(kind=("Future", "AsyncResource"))}
        assert kinds == {"Future", "AsyncResource"}
        event.set()
        root = await task
        names = [info.name for info in asynchooks.resources(root=root)]
        assert "Of the request" in names
        assert all(info.root == root for info in asynchooks.resources(root=root))
        assert by_id().keys() > by_id(root=root).keys()

    asyncio.run(main())


def test_an_unknown_kind(engine: None) -> None:
    with pytest.raises(ValueError, match="'Tusk' is unknown, expected some of"):
        asynchooks.resources(kind="Tusk")


def test_what_is_older_than_enable_is_marked() -> None:
    async def main() -> None:
        asynchooks.enable()
        await asyncio.sleep(0)
        (info,) = (
            i for i in asynchooks.resources(kind="Task") if i.resource is asyncio.current_task()
        )
        assert info.is_adopted
        assert info.created_by == 0

    try:
        asyncio.run(main())
    finally:
        asynchooks.disable()
    assert asynchooks.resources(kind=("Task", "Future")) == []


def test_looking_keeps_nothing_and_wakes_nobody(engine: None) -> None:
    import gc
    import weakref

    resource = AsyncResource("Mine")
    gone = weakref.ref(resource)
    infos = asynchooks.resources(kind="AsyncResource")
    assert any(info.resource is resource for info in infos)
    del resource, infos
    gc.collect()
    assert gone() is None
    assert not [i for i in asynchooks.resources(kind="AsyncResource") if i.name == "Mine"]


def test_from_another_thread_while_the_loop_runs(engine: None) -> None:
    seen_tasks = threading.Event()
    looks = 0

    def look() -> None:
        nonlocal looks
        while looks < 50 or not seen_tasks.is_set():
            looks += 1
            if len(asynchooks.resources()) >= 20:
                seen_tasks.set()

    async def main() -> None:
        while thread.is_alive():
            await asyncio.gather(*(asyncio.sleep(0) for _ in range(20)))

    thread = threading.Thread(target=look)
    thread.start()
    asyncio.run(main())
    assert seen_tasks.is_set()


def test_a_tree_by_cause(engine: None) -> None:
    event = asyncio.Event()

    async def leaf() -> None:
        await event.wait()

    async def branch() -> None:
        await asyncio.gather(leaf(), leaf())

    async def main() -> list[asynchooks.Tree]:
        task = asyncio.create_task(branch())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        found = asynchooks.tree()
        event.set()
        await task
        return found

    tops = asyncio.run(main())
    (top,) = (top for top in tops if top.async_id == 1)
    assert top.info is None
    text = str(top)
    lines = text.splitlines()
    assert lines[0] == "(1)"
    depth = {
        name: next(len(line) - len(line.lstrip()) for line in lines if name in line)
        for name in (".main", ".branch", ".leaf")
    }
    assert depth == {".main": 2, ".branch": 4, ".leaf": 6}
    assert text.count("<locals>.leaf at ") == 2


def test_a_deep_chain_of_causes_is_no_deep_recursion(engine: None) -> None:
    """Each task made by the one before; all of them alive."""

    async def link(left: int, done: asyncio.Event) -> None:
        inner = asyncio.create_task(link(left - 1, done)) if left else None
        await done.wait()
        if inner is not None:
            await inner

    async def main() -> str:
        done = asyncio.Event()
        task = asyncio.create_task(link(2000, done))
        for _ in range(2100):
            await asyncio.sleep(0)
        text = "\n".join(map(str, asynchooks.tree()))
        done.set()
        await task
        return text

    assert asyncio.run(main()).count("link at ") >= 2001


def test_asked_while_a_resource_dies(engine: None) -> None:
    """What a weak reference calls back, and what a dying object's attributes run, finds an object
    that is still listed, and must not be handed it."""

    class Asks:
        def __init__(self, seen: list[int]) -> None:
            self.seen = seen

        def __del__(self) -> None:
            self.seen.append(len(asynchooks.resources()))

    class Task(asyncio.Task[None]):
        pass

    class Future(asyncio.Future[None]):
        pass

    def watch(made: Any) -> Any:
        made.asks = Asks(seen)
        return weakref.ref(made, lambda _: seen.append(len(asynchooks.resources())))

    async def main() -> None:
        resource = AsyncResource("Pool")
        task = Task(asyncio.sleep(0))
        future = Future()
        references = [watch(resource), watch(task), watch(future)]
        await task
        del resource, task, future
        await asyncio.sleep(0)  # what has woken us held the task
        gc.collect()
        assert [reference() for reference in references] == [None] * 3

    seen: list[int] = []
    asyncio.run(main())
    assert len(seen) == 6

"""What executes, and why, wherever code of the application is called."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING

import asynchooks
from asynchooks import _native

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.conftest import Activity
    from tests.unit.loops.conftest import Run


class Seen(list[tuple[str, int, int, int]]):
    """The type of what executes, its id, what made it, and the root; by who looks."""

    def __init__(self, activity: Activity) -> None:
        super().__init__()
        self._activity = activity

    def look(self, *_: object) -> None:
        async_id, trigger = asynchooks.execution_async_id(), asynchooks.trigger_async_id()
        resource = asynchooks.execution_async_resource()
        assert resource is None or _native.async_id_of(resource) == async_id
        life = self._activity.lives[async_id]
        assert life.trigger == trigger
        self.append((life.type, async_id, trigger, _native.root_async_id()))


def test_in_a_task_and_its_callbacks(activity: Activity, run: Run) -> None:
    seen = Seen(activity)

    async def work() -> None:
        seen.look()

    async def main() -> tuple[int, int, int]:
        root = _native.start_root()
        task = asyncio.create_task(work())
        task.add_done_callback(seen.look)
        await task
        await asyncio.sleep(0)
        return asynchooks.execution_async_id(), root, _native.async_id_of(task)

    me, root, task = run(main())
    # What a task's end schedules is made by the task.
    assert [(kind, trigger, its_root) for kind, _, trigger, its_root in seen] == [
        ("Task", me, root),
        ("Handle", task, root),
    ]


def test_in_callbacks_of_the_loop(activity: Activity, run: Run) -> None:
    seen = Seen(activity)

    async def main() -> tuple[int, int]:
        root = _native.start_root()
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_soon(seen.look)
        loop.call_soon_threadsafe(seen.look)
        loop.call_later(0, seen.look)
        loop.call_later(0.001, done.set_result, None)
        await done
        return asynchooks.execution_async_id(), root

    me, root = run(main())
    kinds = [kind for kind, _, trigger, its_root in seen if (trigger, its_root) == (me, root)]
    assert kinds == ["Handle", "Handle", "TimerHandle"]


def test_in_a_signal_handler(activity: Activity, run: Run) -> None:
    seen = Seen(activity)

    async def main() -> tuple[int, int]:
        root = _native.start_root()
        loop = asyncio.get_running_loop()
        came = asyncio.Event()

        def handle() -> None:
            seen.look()
            came.set()

        loop.add_signal_handler(signal.SIGUSR1, handle)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGUSR1)
            await came.wait()
            came.clear()
        assert loop.remove_signal_handler(signal.SIGUSR1)
        return asynchooks.execution_async_id(), root

    me, root = run(main())
    first, second = seen
    assert first == second
    assert (first[0], *first[2:]) == ("SignalHandler", me, root)


def test_in_threads_and_jobs(activity: Activity, run: Run) -> None:
    seen = Seen(activity)

    async def main() -> tuple[int, int]:
        root = _native.start_root()
        await asyncio.to_thread(seen.look)
        await asyncio.get_running_loop().run_in_executor(None, seen.look)
        for thread in (threading.Thread(target=seen.look), threading.Timer(0, seen.look)):
            thread.start()
            thread.join()
        return asynchooks.execution_async_id(), root

    me, root = run(main())
    assert [(kind, trigger, its_root) for kind, _, trigger, its_root in seen] == [
        ("ExecutorJob", me, root),
        ("ExecutorJob", me, root),
        ("Thread", me, root),
        ("Thread", me, root),
    ]


def test_what_a_job_s_result_wakes_is_woken_by_the_job(activity: Activity, run: Run) -> None:
    async def main() -> None:
        before = set(activity.lives)
        go = threading.Event()
        asyncio.get_running_loop().call_later(0.001, go.set)
        await asyncio.to_thread(go.wait)
        made = {i: life for i, life in activity.lives.items() if i not in before}
        (job,) = (i for i, life in made.items() if life.type == "ExecutorJob")
        (info,) = (
            i for i in asynchooks.resources(kind="Task") if i.resource is asyncio.current_task()
        )
        # The job has the loop call what settles the future, which wakes us.
        waker = activity.lives[info.woken_by]
        assert (waker.type, waker.trigger) == ("Handle", job)

    run(main())


def test_in_exception_handlers(activity: Activity, run: Run, loop_name: str) -> None:
    seen = Seen(activity)

    def fail() -> None:
        raise LookupError("on purpose")

    async def main() -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(seen.look)
        loop.call_soon(fail)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return asynchooks.execution_async_id()

    me = run(main())
    ((kind, _, trigger, _),) = seen
    # uvloop calls its handler when the callback is over, for us too.
    assert (kind, trigger) == (("Handle", me) if loop_name == "asyncio" else ("", 0))


def test_a_generator_s_finaliser_is_made_by_the_generator(activity: Activity, run: Run) -> None:
    seen = Seen(activity)

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            seen.look()

    async def main() -> None:
        async for _ in numbers():
            activity.forget_resources()
            break
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)

    run(main())
    ((kind, _, trigger, _),) = seen
    (generator,) = activity.of_type("AsyncGenerator")
    assert kind == "Task"
    # The loop has a callback make the task.
    assert activity.lives[trigger].type == "Handle"
    assert activity.lives[trigger].trigger == generator[0]


def test_names_are_of_what_runs(engine: None, run: Run) -> None:
    go = threading.Event()

    def wait_here() -> None:
        go.wait()

    class Mine(threading.Thread):
        def run(self) -> None:
            go.wait()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        threads = [threading.Thread(target=wait_here), Mine(), threading.Timer(1000, wait_here)]
        for thread in threads:
            thread.start()
        jobs = [
            loop.run_in_executor(None, wait_here),
            asyncio.ensure_future(asyncio.to_thread(wait_here)),
            loop.run_in_executor(None, partial(wait_here)),
        ]
        await asyncio.sleep(0)
        infos = asynchooks.resources(kind="ExecutorJob")
        names = [info.name.rpartition(".")[2] for info in infos]
        owners = {info.owned_by for info in infos}
        threads_seen = [info.name for info in asynchooks.resources(kind="Thread")]
        go.set()
        threads[-1].cancel()  # type: ignore[attr-defined] # a timer
        for thread in threads:
            thread.join()
        await asyncio.gather(*jobs)
        assert names == ["wait_here"] * 3
        assert [type(owner).__name__ for owner in owners] == ["ThreadPoolExecutor"]
        mine = [name.rpartition(".")[2] for name in threads_seen]
        assert mine.count("wait_here") == 2
        assert mine.count("Mine") == 1

    run(main())

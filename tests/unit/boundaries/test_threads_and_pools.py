"""Context crosses threads, timers and pools; nothing of it stays behind, nor of us."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks
from asynchooks import _native

if TYPE_CHECKING:
    from tests.conftest import Activity

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")


def look() -> str:
    return variable.get()


def start_set(thread: threading.Thread) -> None:
    """Start it where `variable` is "set", and nowhere else."""

    def start() -> None:
        variable.set("set")
        thread.start()

    contextvars.copy_context().run(start)


def in_thread(thread_type: Any = threading.Thread, **options: Any) -> str:
    """What a thread sees that is started with `variable` set to "set"."""
    seen: list[str] = []
    thread = thread_type(target=lambda: seen.append(look()), **options)
    start_set(thread)
    thread.join()
    return seen[0]


def test_a_thread_has_the_context_of_its_start(engine: None) -> None:
    assert in_thread() == "set"
    assert variable.get() == "none"


def test_what_a_thread_sets_stays_there(engine: None) -> None:
    thread = threading.Thread(target=variable.set, args=("changed",))
    thread.start()
    thread.join()
    assert variable.get() == "none"


def test_a_subclass_with_its_own_run(engine: None) -> None:
    class Mine(threading.Thread):
        def run(self) -> None:
            self.seen = look()

    mine = Mine()
    start_set(mine)
    mine.join()
    assert mine.seen == "set"


def test_a_timer_has_the_context_of_its_start(engine: None) -> None:
    seen: list[str] = []
    timer = threading.Timer(0, lambda: seen.append(look()))
    start_set(timer)
    timer.join()
    assert seen == ["set"]


def test_nothing_of_ours_is_left_in_a_thread(engine: None) -> None:
    thread = threading.Thread(target=look)
    before = set(vars(thread))
    thread.start()
    thread.join()
    assert {name for name in set(vars(thread)) - before if "asynchooks" in name} == set()
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        thread.start()
    assert not [name for name in vars(thread) if "asynchooks" in name]


def test_an_exception_in_a_thread_looks_the_same() -> None:
    def fail() -> None:
        raise LookupError("its own")

    def report() -> tuple[list[str], str]:
        reports: list[threading.ExceptHookArgs] = []
        hook, threading.excepthook = threading.excepthook, reports.append
        try:
            thread = threading.Thread(target=fail)
            thread.start()
            thread.join()
        finally:
            threading.excepthook = hook
        frames = traceback.extract_tb(reports[0].exc_traceback)
        return [frame.name for frame in frames], str(reports[0].exc_value)

    plain = report()
    asynchooks.enable()
    try:
        assert report() == plain
    finally:
        asynchooks.disable()


def test_each_job_of_a_pool_has_its_submitter_s_context(engine: None) -> None:
    with ThreadPoolExecutor(1) as pool:

        def submit(value: str) -> str:
            variable.set(value)
            return pool.submit(look).result()

        def map_over(value: str) -> list[str]:
            variable.set(value)
            return list(pool.map(lambda _: look(), range(2)))

        assert contextvars.copy_context().run(submit, "first") == "first"
        assert contextvars.copy_context().run(submit, "second") == "second"
        assert contextvars.copy_context().run(map_over, "third") == ["third", "third"]
        assert pool.submit(look).result() == "none"


def test_a_pool_s_threads_belong_to_nobody(engine: None) -> None:
    """What runs in them outside of a job (an initializer) is no part of the first request."""
    seen: list[str] = []

    def first() -> None:
        variable.set("set")
        with ThreadPoolExecutor(1, initializer=lambda: seen.append(look())) as pool:
            assert pool.submit(look).result() == "set"

    contextvars.copy_context().run(first)
    assert seen == ["none"]


def test_run_in_executor_and_to_thread(engine: None) -> None:
    async def main() -> list[str]:
        variable.set("set")
        loop = asyncio.get_running_loop()
        return [await loop.run_in_executor(None, look), await asyncio.to_thread(look)]

    assert asyncio.run(main()) == ["set", "set"]


def errors_of_a_pool() -> list[object]:
    """What goes wrong with a pool, and how it looks."""
    errors: list[object] = []

    def fail() -> None:
        raise LookupError("its own")

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(TypeError, match="missing 1 required positional argument") as missing:
            pool.submit()  # type: ignore[call-arg] # on purpose
        errors.append(str(missing.value))
        error = pool.submit(fail).exception()
        assert error is not None
        errors.append([frame.name for frame in traceback.extract_tb(error.__traceback__)])
    with pytest.raises(RuntimeError, match="after shutdown") as late:
        pool.submit(look)
    return [*errors, str(late.value)]


def test_a_pool_s_errors_are_its_own() -> None:
    plain = errors_of_a_pool()
    asynchooks.enable()
    try:
        assert errors_of_a_pool() == plain
    finally:
        asynchooks.disable()


def test_all_is_as_before_after_disable() -> None:
    owners = (threading.Thread, threading.Timer, ThreadPoolExecutor)
    before = [dict(vars(owner)) for owner in owners]
    asynchooks.enable()
    assert [dict(vars(owner)) for owner in owners] != before
    asynchooks.disable()
    assert [dict(vars(owner)) for owner in owners] == before
    assert in_thread() == "none"


def test_a_thread_that_was_started_before_disable_runs_after_it() -> None:
    may_run = threading.Event()
    seen: list[str] = []

    def wait_and_look() -> None:
        may_run.wait()
        seen.append(look())

    asynchooks.enable()
    thread = threading.Thread(target=wait_and_look)
    start_set(thread)
    asynchooks.disable()
    may_run.set()
    thread.join()
    assert seen == ["set"]


# Causes cross them, too.


def who_and_why() -> tuple[int, int, int]:
    ids = asynchooks.execution_async_id(), asynchooks.trigger_async_id()
    return *ids, _native.root_async_id()


def test_a_job_is_a_resource_made_by_its_submitter(activity: Activity) -> None:
    async def main() -> None:
        root = _native.start_root()
        me = asynchooks.execution_async_id()
        job, trigger, job_root = await asyncio.to_thread(who_and_why)
        assert job not in (0, me)
        assert (trigger, job_root) == (me, root)
        life = activity.lives[job]
        assert (life.type, life.trigger) == ("ExecutorJob", me)
        assert life.events[:3] == ["init", "before", "after"]

    asyncio.run(main())


def test_what_a_job_schedules_has_it_as_its_cause(activity: Activity) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def called_back() -> tuple[int, int, int]:
            return who_and_why()

        def work() -> tuple[int, tuple[int, int, int]]:
            future = asyncio.run_coroutine_threadsafe(called_back(), loop)
            return asynchooks.execution_async_id(), future.result(60)

        root = _native.start_root()
        job, (task, trigger, task_root) = await asyncio.to_thread(work)
        assert task_root == root
        # The task is made by the callback that the job has scheduled.
        assert activity.lives[task].trigger == trigger
        assert activity.lives[trigger].trigger == job

    asyncio.run(main())


def test_a_thread_is_a_resource_made_by_its_starter(activity: Activity) -> None:
    seen: list[tuple[int, int, int]] = []
    thread = threading.Thread(target=lambda: seen.append(who_and_why()))
    thread.start()
    thread.join()
    ((async_id, trigger, root),) = seen
    assert activity.lives[async_id].type == "Thread"
    assert trigger == asynchooks.execution_async_id()
    assert root == _native.root_async_id()


def test_a_pool_s_threads_have_no_cause(activity: Activity) -> None:
    before = {info.async_id for info in asynchooks.resources(kind="Thread")}
    with ThreadPoolExecutor(1) as pool:
        pool.submit(look).result()
        after = asynchooks.resources(kind="Thread")
        (thread,) = (info for info in after if info.async_id not in before)
        assert thread.created_by == 0
        assert thread.root == thread.async_id


def test_a_detached_call_is_nobody_s(engine: None) -> None:
    resource = asynchooks.AsyncResource("Outer")

    def inside() -> tuple[int, int]:
        assert _native.call_detached(who_and_why) == (0, 0, 0)
        inner = _native.call_detached(asynchooks.AsyncResource, "Inner")
        return inner.trigger_async_id(), asynchooks.execution_async_id()

    assert resource.run_in_async_scope(inside) == (0, resource.async_id())
    with pytest.raises(ZeroDivisionError):
        _native.call_detached(lambda: 1 / 0)
    with pytest.raises(TypeError, match="needs a function"):
        _native.call_detached()  # type: ignore[call-arg] # on purpose


@pytest.mark.skipif(sys.version_info < (3, 14), reason="pools of interpreters came with 3.14")
def test_a_pool_of_interpreters_works_as_without_us(activity: Activity) -> None:
    pool_type = concurrent.futures.InterpreterPoolExecutor  # type: ignore[attr-defined] # 3.14
    with pool_type(max_workers=1) as pool:
        assert pool.submit(divmod, 7, 2).result(60) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 7, 0).result(60)

    async def main() -> tuple[int, int]:
        with pool_type(max_workers=1) as pool:
            return await asyncio.get_running_loop().run_in_executor(pool, divmod, 7, 2)

    assert asyncio.run(main()) == (3, 1)
    assert activity.of_type("ExecutorJob") == []


def test_no_frame_of_ours_is_in_a_threads_stack(engine: None) -> None:
    stacks: list[list[str]] = []

    def work() -> None:
        stacks.append([frame.f_code.co_qualname for frame, _ in traceback.walk_stack(None)])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    asynchooks.disable()
    plain = threading.Thread(target=work)
    plain.start()
    plain.join()
    assert stacks[0] == stacks[1]
    assert vars(thread).keys() == vars(plain).keys()

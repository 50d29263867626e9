"""Tasks and futures: all are seen, and none can tell."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks
from asynchooks import AsyncResource, _native

if TYPE_CHECKING:
    from tests.conftest import Activity

# For processes that enable the engine by themselves.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "ASYNCHOOKS"}


class EarlySubclass(asyncio.Task[Any]):
    """Made before the engine was enabled."""


class EarlyWithInit(asyncio.Future[Any]):
    def __init__(self, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)


def test_subclasses_made_before_and_after_are_seen(engine: None) -> None:
    class Late(asyncio.Task[Any]):
        pass

    class LateWithInit(asyncio.Task[Any]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = _native.live_counts()
        tasks = [kind(asyncio.sleep(0)) for kind in (EarlySubclass, Late, LateWithInit)]
        future = EarlyWithInit(loop=loop)
        after = _native.live_counts()
        assert after["Task"] - before["Task"] == 3
        assert after["Future"] - before["Future"] == 1
        await asyncio.gather(*tasks)
        del future

    asyncio.run(main())


def test_nothing_is_kept_of_the_dead(engine: None) -> None:
    async def main() -> None:
        await asyncio.gather(*(asyncio.create_task(asyncio.sleep(0)) for _ in range(5000)))

    gc.collect()
    before = _native.live_counts()
    asyncio.run(main())
    gc.collect()
    assert _native.live_counts() == before


def test_disable_forgets_and_enable_adopts() -> None:
    ids: list[tuple[int, int]] = []

    async def main() -> None:
        asynchooks.enable()
        await asyncio.sleep(0)
        ids.append((asynchooks.execution_async_id(), asynchooks.trigger_async_id()))
        asynchooks.disable()
        assert _native.live_counts()["Task"] == 0
        await asyncio.sleep(0)
        asynchooks.enable()
        await asyncio.sleep(0)
        ids.append((asynchooks.execution_async_id(), asynchooks.trigger_async_id()))

    asyncio.run(main())
    asynchooks.disable()
    (first, first_trigger), (second, second_trigger) = ids
    assert 1 < first < second
    assert first_trigger == second_trigger == 0  # nobody saw who made it


def test_a_constructor_that_fails_leaves_nothing(engine: None) -> None:
    before = _native.live_counts()
    loop = asyncio.new_event_loop()
    for _ in range(10):
        with pytest.raises(TypeError):
            asyncio.Task(42, loop=loop)  # type: ignore[arg-type] # on purpose
    loop.close()
    gc.collect()
    assert _native.live_counts() == before


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_pending_task_that_is_dropped_warns_as_before_and_may_be_kept(engine: None) -> None:
    """Its finalizer hands it to the exception handler, which may bring it back to life."""
    loop = asyncio.new_event_loop()
    kept: list[Any] = []
    loop.set_exception_handler(lambda loop, context: kept.append(context))

    async def forever() -> None:
        await loop.create_future()

    task = loop.create_task(forever())
    reference = weakref.ref(task)
    loop.call_soon(loop.stop)
    loop.run_forever()
    before = _native.live_counts()["Task"]
    del task
    gc.collect()
    assert kept[0]["message"] == "Task was destroyed but it is pending!"
    assert kept[0]["task"].get_loop() is loop
    assert _native.live_counts()["Task"] == before
    kept.clear()
    gc.collect()
    assert reference() is None
    assert _native.live_counts()["Task"] == before - 1
    loop.close()


def test_an_exception_that_nobody_retrieved_is_still_reported(engine: None) -> None:
    messages: list[str] = []

    async def fail() -> None:
        raise ValueError("on purpose")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: messages.append(context["message"]))
        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task
        gc.collect()

    asyncio.run(main())
    assert messages == ["Task exception was never retrieved"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_an_eager_task_runs_as_itself(activity: Any) -> None:
    ids: list[int] = []

    async def eager() -> None:
        ids.append(asynchooks.execution_async_id())

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined] # 3.12
        outer = asynchooks.execution_async_id()
        await asyncio.create_task(eager())
        assert asynchooks.execution_async_id() == outer
        assert activity.lives[ids[0]].trigger == outer

    asyncio.run(main())
    assert activity.lives[ids[0]].events[:4] == ["init", "before", "settled", "after"]


def test_the_types_are_as_before_after_disable() -> None:
    def look() -> list[object]:
        return [
            repr(asyncio.Task.__init__),
            sorted(vars(asyncio.Task)),
            sorted(vars(asyncio.Future)),
            sorted(vars(asyncio.Handle)),
            sorted(vars(asyncio.BaseEventLoop)),
            asyncio.Future.set_result,
        ]

    before = look()
    asynchooks.enable()
    hook = asynchooks.create_hook(settled=lambda async_id: None).enable()
    during = look()
    hook.disable()
    asynchooks.disable()
    assert before == during == look()


def test_enabling_and_disabling_many_times_in_a_running_loop() -> None:
    async def main() -> int:
        done = 0
        for _ in range(50):
            asynchooks.enable()
            task = asyncio.create_task(asyncio.sleep(0, 1))
            asyncio.get_running_loop().call_later(0, lambda: None)
            await asyncio.sleep(0)
            asynchooks.disable()
            done += await task
        return done

    assert asyncio.run(main()) == 50


def test_disable_inside_a_step_and_inside_a_hook(engine: None) -> None:
    async def main() -> None:
        await asyncio.create_task(asyncio.sleep(0))

    hook = asynchooks.create_hook(before=lambda async_id: asynchooks.disable()).enable()
    asyncio.run(main())
    hook.disable()
    assert not asynchooks.is_enabled()


@pytest.mark.parametrize(
    "script",
    [
        "asyncio.run(work()); raise SystemExit(0)",
        "loop = asyncio.new_event_loop(); t = loop.create_task(work()); raise SystemExit(0)",
        "asynchooks.create_hook(init=lambda *a: os._exit(0)).enable(); asyncio.run(work())",
        (
            "asynchooks.create_hook(init=lambda *a: asyncio.new_event_loop().create_future())"
            ".enable(); asyncio.run(work())"
        ),
        (
            "class Bad:\n  def __del__(self): asyncio.new_event_loop().close()\n"
            "x = Bad(); asyncio.run(work())"
        ),
        "import threading\nthreading.Thread(target=lambda: asyncio.run(work())).start()",
        (
            "pid = os.fork()\nif pid == 0:\n  asyncio.run(work()); os._exit(0)\n"
            "raise SystemExit(os.waitpid(pid, 0)[1])"
        ),
    ],
)
def test_the_interpreter_ends_well(script: str) -> None:
    """Crashes and hangs at the end show in the exit status of a process of its own."""
    prelude = (
        "import asyncio, os, sys, asynchooks\nsys.unraisablehook = lambda *a: None\n"
        "asynchooks.enable()\nasync def work():\n  await asyncio.sleep(0.001)\n"
    )
    code = prelude + script
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Fatal" not in result.stderr


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit])
def test_exits_leave_the_loop(
    activity: Activity, exception: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every event told, and with a destroy hook that fails after the step."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)

    def fail(async_id: int) -> None:
        raise ValueError("on purpose")

    async def leave() -> None:
        AsyncResource("Dies")
        raise exception

    failing = asynchooks.create_hook(destroy=fail, on_error="raise").enable()
    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(exception):
            loop.run_until_complete(leave())
    finally:
        failing.disable()
        loop.close()
    ((_, life),) = activity.of_type("Task")
    assert life.events[:4] == ["init", "before", "settled", "after"]


def test_the_main_thread_is_the_interpreters() -> None:
    """Not the one that imports us first, and in a forked child the one that there is."""
    code = (
        "import os, threading\n"
        "def first():\n"
        "  import asynchooks\n"
        "  asynchooks.enable()\n"
        "def fork():\n"
        "  pid = os.fork()\n"
        "  if pid == 0:\n"
        "    os._exit(asynchooks.execution_async_id() != resource.async_id())\n"
        "  status.append(os.waitpid(pid, 0)[1])\n"
        "status = []\n"
        "thread = threading.Thread(target=first)\n"
        "thread.start(); thread.join()\n"
        "import asynchooks\n"
        "assert asynchooks.execution_async_id() == 1\n"
        "resource = asynchooks.AsyncResource('Scope')\n"
        "thread = threading.Thread(target=lambda: resource.run_in_async_scope(fork))\n"
        "thread.start(); thread.join()\n"
        "assert status == [0], status\n"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60, env=ENVIRONMENT
    )


def test_hooks_work_in_a_child_forked_while_another_thread_was_in_one() -> None:
    code = (
        "import asyncio, os, threading, asynchooks\n"
        "asynchooks.enable()\n"
        "inside, leave = threading.Event(), threading.Event()\n"
        "def init(*args):\n"
        "  if threading.current_thread() is thread:\n"
        "    inside.set(); leave.wait(60)\n"
        "old = asynchooks.create_hook(init=init).enable()\n"
        "thread = threading.Thread(target=asynchooks.AsyncResource, args=('Slow',))\n"
        "thread.start(); inside.wait(60)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "  old.disable()\n"
        "  born, died = [], []\n"
        "  asynchooks.create_hook(init=lambda *a: born.append(a), destroy=died.append).enable()\n"
        "  asyncio.run(asyncio.sleep(0))\n"
        "  os._exit(not born or not died)\n"
        "leave.set(); thread.join()\n"
        "raise SystemExit(os.waitpid(pid, 0)[1])\n"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60, env=ENVIRONMENT
    )


def test_tasks_are_numbered_as_ever() -> None:
    code = (
        "import asyncio, asynchooks\n"
        "asynchooks.enable()\n"
        "async def main():\n"
        "  return asyncio.current_task().get_name()\n"
        "print(asyncio.run(main()))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        timeout=60,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert result.stdout == "Task-1\n"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks before 3.12")
def test_an_eager_task_can_be_looked_at_as_it_is_born(engine: None) -> None:
    """Hooks are told of it before its __init__, where `get_coro()` of 3.12 crashes."""
    seen: list[tuple[Any, ...]] = []
    given = contextvars.Context()

    def look(task: Any) -> tuple[Any, ...]:
        repr(task)
        return task.get_coro(), task.get_context(), task.get_loop(), task.done()

    hook = asynchooks.create_hook(
        init=lambda async_id, kind, trigger, resource: seen.append(look(resource)),
        before=lambda async_id: seen.append(look(asynchooks.execution_async_resource())),
        kinds=("Task",),
    )

    async def leaf() -> int:
        return 1

    async def main() -> None:
        loop = asyncio.get_running_loop()
        coroutine = leaf()
        hook.enable()
        make: Any = asyncio.Task
        task = make(coroutine, loop=loop, context=given, eager_start=True)
        hook.disable()
        assert seen == [(coroutine, given, loop, False)] * 2
        assert task.result() == 1
        assert task.get_context() is given
        del task
        seen.clear()

    count = sys.getrefcount(given)
    asyncio.run(main())
    assert sys.getrefcount(given) == count

"""Steps one inside the other, in threads, and on their way out: found by the model test."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

import asynchooks
from asynchooks import AsyncResource, _native

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.conftest import Activity


def info_of(resource: object) -> asynchooks.ResourceInfo:
    (found,) = (info for info in asynchooks.resources() if info.resource is resource)
    return found


def run_on(loop_type: str, main: Coroutine[Any, Any, None]) -> None:
    factory = uvloop.new_event_loop if loop_type == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


def test_deaths_are_told_in_a_thread_whose_loop_goes_on(activity: Activity) -> None:
    """A thread is one step as a whole, which may never end."""
    told: list[bool] = []

    async def main() -> None:
        resource = AsyncResource("Mine")
        resource.emit_destroy()
        await asyncio.sleep(0)
        told.append("destroy" in activity.lives[resource.async_id()].events)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    thread.join()
    assert told == [True]


def test_a_scope_inside_its_own_scope(engine: None) -> None:
    resource = AsyncResource("Mine")
    seen: list[asynchooks.ResourceInfo] = []

    def outer() -> None:
        resource.run_in_async_scope(lambda: None)
        seen.append(info_of(resource))

    resource.run_in_async_scope(outer)
    assert (seen[0].state, seen[0].steps) == ("running", 2)
    after = info_of(resource)
    assert after.state == "waiting"
    assert seen[0].run_time <= after.run_time <= after.age, "no time is counted twice"


def test_a_handle_that_cancels_itself_runs_still(engine: None) -> None:
    loop = asyncio.new_event_loop()
    seen: list[asynchooks.ResourceInfo] = []

    def callback() -> None:
        handle.cancel()
        seen.append(info_of(handle))

    handle = loop.call_soon(callback)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert (seen[0].state, seen[0].cancelled_by) == ("running", seen[0].async_id)
    assert info_of(handle).state == "done"


@pytest.mark.parametrize("loop_type", ["asyncio", "uvloop"])
def test_a_root_that_a_callback_or_a_resource_begins_is_its_own_too(
    engine: None, loop_type: str
) -> None:
    seen: list[tuple[int, int]] = []

    def begin() -> None:
        root = _native.start_root()
        current = asynchooks.execution_async_resource()
        assert asynchooks.async_id(current) == asynchooks.execution_async_id()
        seen.append((root, info_of(current).root))

    async def main() -> None:
        asyncio.get_running_loop().call_soon(begin)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        AsyncResource("Mine").run_in_async_scope(begin)

    run_on(loop_type, main())
    assert [root for root, _ in seen] == [of_itself for _, of_itself in seen]
    assert len(seen) == 2


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_an_eager_task_s_first_step_is_counted(engine: None) -> None:
    async def eager() -> asynchooks.ResourceInfo:
        inside = info_of(asyncio.current_task())
        await asyncio.sleep(0)
        return inside

    async def main() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.Task(eager(), loop=loop, eager_start=True)  # type: ignore[call-arg,unused-ignore] # 3.12
        suspended = info_of(task)
        inside = await task
        assert (inside.state, inside.steps) == ("running", 1)
        assert (suspended.state, suspended.steps) == ("ready", 1)
        assert suspended.run_time >= inside.run_time > 0
        assert info_of(task).steps == 2

    asyncio.run(main())


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit])
def test_what_leaves_the_loop_leaves_it_with_hooks_on_settled_too(
    activity: Activity, exception: type[BaseException]
) -> None:
    async def leave() -> None:
        raise exception("on purpose")

    loop = asyncio.new_event_loop()
    task = loop.create_task(leave())
    with pytest.raises(exception, match="on purpose"):
        loop.run_forever()
    loop.close()
    assert activity.lives[asynchooks.async_id(task)].events.count("settled") == 1
    assert isinstance(task.exception(), exception)


def test_a_timer_of_uvloop_is_one_resource_however_it_is_made(activity: Activity) -> None:
    loop = uvloop.new_event_loop()
    loop.call_at(loop.time() + 1000, print)
    loop.call_later(1000, print)
    loop.close()
    assert len(activity.of_type("TimerHandle")) == 2

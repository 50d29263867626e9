"""In what state something is, and for how long."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

import asynchooks
from asynchooks import AsyncResource

if TYPE_CHECKING:
    from tests.unit.inspection.conftest import InfoOf


async def wait(event: asyncio.Event) -> None:
    await event.wait()


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_states_of_a_task(engine: None, info_of: InfoOf) -> None:
    async def main() -> None:
        event = asyncio.Event()
        task = asyncio.create_task(wait(event))
        states = [info_of(task).state]
        await asyncio.sleep(0)
        states.append(info_of(task).state)
        event.set()
        states.append(info_of(task).state)
        await task
        states.append(info_of(task).state)
        assert states == ["ready", "waiting", "ready", "done"]
        assert info_of(asyncio.current_task()).state == "running"

    asyncio.run(main())


def test_states_of_the_others(engine: None, info_of: InfoOf) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        future, resource = loop.create_future(), AsyncResource("Mine")
        handle, timer = loop.call_soon(lambda: None), loop.call_later(1000, lambda: None)
        made = (future, resource, handle, timer)
        assert [info_of(one).state for one in made] == ["waiting", "waiting", "ready", "waiting"]
        assert resource.run_in_async_scope(lambda: info_of(resource).state) == "running"
        future.set_result(None)
        timer.cancel()
        await turns()
        assert [info_of(one).state for one in made] == ["done", "waiting", "done", "done"]

    asyncio.run(main())


def test_run_ready_and_wait_make_up_the_age(engine: None, info_of: InfoOf) -> None:
    def spin(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass

    async def main() -> None:
        event = asyncio.Event()

        async def work() -> None:
            spin(0.01)
            await event.wait()

        task = asyncio.create_task(work())
        spin(0.01)  # it is ready
        await asyncio.sleep(0)
        spin(0.01)  # it waits
        info = info_of(task)
        assert info.state == "waiting"
        assert info.run_time >= 0.01
        assert info.ready_time >= 0.01
        assert info.wait_time >= 0.01
        whole = info.run_time + info.ready_time + info.wait_time
        assert whole == pytest.approx(info.age)
        assert info.cpu_time == 0
        event.set()
        await task

    asyncio.run(main())


def test_cpu_time_is_counted_if_asked_for(info_of: InfoOf) -> None:
    async def work() -> None:
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            pass
        await asyncio.sleep(0)

    async def main() -> None:
        task = asyncio.create_task(work())
        await task
        info = info_of(task)
        assert 0.01 <= info.cpu_time < info.age + 1

    asynchooks.enable(cpu_time=True)
    try:
        asyncio.run(main())
    finally:
        asynchooks.disable()

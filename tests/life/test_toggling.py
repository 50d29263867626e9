"""enable() and disable() at any time: nothing of before is lost, and nothing of it stays."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

import asynchooks
from asynchooks import _native

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.life.conftest import PassScript


@pytest.fixture(autouse=True)
def off() -> Iterator[None]:
    """Off at the beginning and at the end, when nothing that the test has made lives any more."""
    assert not asynchooks.is_enabled()
    gc.collect()
    before = _native.live_counts()  # what other tests have left to the interpreter's exit
    yield
    asynchooks.disable()
    gc.collect()
    assert _native.live_counts() == before


@pytest.fixture(params=["asyncio", "uvloop"])
def new_loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    return uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop


def toggle(times: int = 1) -> None:
    for _ in range(times):
        asynchooks.enable()
        asynchooks.disable()


async def work() -> int:
    await asyncio.sleep(0)
    return 1


def adopted(task: object) -> bool:
    (info,) = [info for info in asynchooks.resources() if info.resource is task]
    return info.is_adopted


def test_enabling_twice_is_enabling_once() -> None:
    asynchooks.enable()
    asynchooks.enable()
    asynchooks.disable()
    assert not asynchooks.is_enabled()
    asynchooks.disable()


def test_toggling_between_any_two_steps(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def main() -> int:
        total = 0
        for _ in range(50):
            asynchooks.enable()
            first = asyncio.create_task(work())
            asynchooks.disable()
            second = asyncio.create_task(work())
            await asyncio.sleep(0)
            asynchooks.enable()
            total += sum(await asyncio.gather(first, second))
            asynchooks.disable()
        return total

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(main()) == 100


def test_what_is_older_than_enable_is_adopted_when_it_is_met(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    release = None

    async def wait() -> None:
        assert release is not None
        await release.wait()

    async def main() -> None:
        nonlocal release
        release = asyncio.Event()
        old = asyncio.create_task(wait())
        await asyncio.sleep(0)
        asynchooks.enable()
        new = asyncio.create_task(wait())
        await asyncio.sleep(0)
        assert all(info.resource is not old for info in asynchooks.resources())  # not met yet
        assert not adopted(new)
        old.add_done_callback(lambda task: met.append(adopted(task)))
        release.set()
        await asyncio.gather(old, new)
        asynchooks.disable()

    met: list[bool] = []
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
    assert met == [True]


def test_an_adopted_task_has_an_id_of_its_own_and_no_cause() -> None:
    seen: list[tuple[int, int]] = []

    async def main() -> None:
        before = asynchooks.execution_async_id()
        asynchooks.enable()
        await asyncio.sleep(0)
        seen.append((asynchooks.execution_async_id(), asynchooks.trigger_async_id()))
        await asyncio.sleep(0)
        seen.append((asynchooks.execution_async_id(), asynchooks.trigger_async_id()))
        assert before == 1

    asyncio.run(main())
    (async_id, trigger), again = seen
    assert async_id > 1
    assert trigger == 0
    assert again == (async_id, trigger)


@pytest.mark.parametrize("kind", ["task", "future", "handle", "timer", "resource"])
@pytest.mark.parametrize("enabled_again", [False, True])
def test_what_was_born_while_enabled_dies_after_disable(kind: str, enabled_again: bool) -> None:
    loop = asyncio.new_event_loop()
    coroutines = []

    def make() -> object:
        match kind:
            case "task":
                coroutines.append(work())
                return asyncio.Task(coroutines[-1], loop=loop)
            case "future":
                return loop.create_future()
            case "handle":
                return asyncio.Handle(work, (), loop)
            case "timer":
                return asyncio.TimerHandle(1.0, work, (), loop)
            case _:
                return asynchooks.AsyncResource("x")

    asynchooks.enable()
    born = [make() for _ in range(5000)]
    asynchooks.disable()
    if enabled_again:
        asynchooks.enable()
        born += [make() for _ in range(5000)]
        born[:5000] = []
        assert len({id(resource) for resource in born}) == 5000
    loop.call_soon(loop.stop)
    loop.run_forever()
    born.clear()
    loop.close()


def test_inside_every_hook() -> None:
    for event in ("init", "before", "after", "destroy", "settled"):
        calls: list[str] = []

        def switch(*args: object, event: str = event, calls: list[str] = calls) -> None:
            calls.append(event)
            toggle()
            asynchooks.enable()

        asynchooks.enable()
        hook = asynchooks.create_hook(**{event: switch}).enable()  # type: ignore[arg-type]
        with asyncio.Runner() as runner:
            for _ in range(20):
                assert runner.run(work()) == 1
        hook.disable()
        asynchooks.disable()
        assert calls


def test_inside_tasks_callbacks_threads_and_finalizers() -> None:
    class Finalized:
        def __del__(self) -> None:
            toggle(3)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(10):
            toggle(3)
            asynchooks.enable()
            loop.call_soon(toggle, 3)
            loop.call_later(0, toggle, 3)
            future = loop.create_future()
            future.add_done_callback(lambda _: toggle(3))
            loop.call_soon(future.set_result, Finalized())
            await asyncio.to_thread(toggle, 3)
            await future
            task: Any = asyncio.create_task(work())
            task.finalized = Finalized()
            await task
            del task, future

    asyncio.run(main())


def test_while_another_thread_toggles(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    is_over = threading.Event()
    toggles = 0

    def toggle_on() -> None:
        nonlocal toggles
        while not is_over.is_set():
            toggle()
            toggles += 1

    async def main() -> int:
        loop = asyncio.get_running_loop()
        total = 0
        while total < 2000 or toggles < 100:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work()) for _ in range(20)]
            future = loop.create_future()
            loop.call_later(0, future.set_result, 1)
            total += sum(task.result() for task in tasks) + await future
            await asyncio.sleep(0)
        return total

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=toggle_on)
    thread.start()
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(main()) >= 2000
    finally:
        is_over.set()
        thread.join()
        sys.setswitchinterval(interval)


def test_no_records_are_leaked(pass_script: PassScript) -> None:
    """Blocks of memory after many rounds are as many as after a few."""
    (line,) = pass_script(
        """
import asyncio, gc, sys
import asynchooks
async def leaf():
    await asyncio.sleep(0)
async def main():
    await asyncio.gather(*[leaf() for _ in range(20)])
def rounds(count):
    for _ in range(count):
        asynchooks.enable()
        hook = asynchooks.create_hook(destroy=abs, init=lambda *args: None).enable()
        runner.run(main())
        hook.disable()
        asynchooks.disable()
    gc.collect()
    return sys.getallocatedblocks()
with asyncio.Runner() as runner:
    before = rounds(50)
    print(rounds(300) - before)
"""
    )
    assert int(line) < 100


def test_a_foreign_patch_over_ours_is_not_caught_in_a_circle() -> None:
    original: Any = vars(uvloop.Loop).get("call_soon")
    asynchooks.enable()
    ours: Any = uvloop.Loop.call_soon
    calls: list[str] = []

    def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append("theirs")
        return ours(self, *args, **kwargs)

    try:
        uvloop.Loop.call_soon = theirs  # type: ignore[method-assign] # what applications may do
        toggle(3)
        asynchooks.enable()
        loop = uvloop.new_event_loop()
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        assert calls == ["theirs"]
    finally:
        del uvloop.Loop.call_soon
        asynchooks.disable()
    assert vars(uvloop.Loop).get("call_soon") is original is None

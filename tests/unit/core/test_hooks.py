"""Hooks: order, enabling inside callbacks, kinds, errors. Node's semantics where it has them."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Activity


def on_loop(*callbacks: Callable[[asyncio.AbstractEventLoop], object]) -> None:
    """Run callbacks one after the other, each as a handle of its own, on a plain loop."""
    loop = asyncio.new_event_loop()
    for callback in callbacks:
        loop.call_soon(callback, loop)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()


def test_a_callback_lives_once(activity: Activity) -> None:
    ids: list[int] = []
    on_loop(lambda loop: ids.append(asynchooks.execution_async_id()))
    life = activity.lives[ids[0]]
    assert life.events[:3] == ["init", "before", "after"]
    assert life.type == "Handle"
    assert life.trigger == 1


def test_a_task_is_one_resource_over_all_its_steps(activity: Activity) -> None:
    seen: list[tuple[int, object]] = []

    async def work() -> None:
        for _ in range(3):
            seen.append((asynchooks.execution_async_id(), asynchooks.execution_async_resource()))
            await asyncio.sleep(0)

    async def main() -> None:
        task = asyncio.create_task(work())
        await task
        assert {resource for _, resource in seen} == {task}

    asyncio.run(main())
    (task_id,) = {async_id for async_id, _ in seen}
    life = activity.lives[task_id]
    assert life.type == "Task"
    assert life.events[0] == "init"
    assert life.events.count("before") == life.events.count("after") == 4
    # Settled once, before the last after (Node's promiseResolve).
    assert life.events[-2:] == ["settled", "after"]


def test_what_creates_is_the_trigger(activity: Activity) -> None:
    ids: dict[str, int] = {}

    async def child() -> None:
        ids["child"] = asynchooks.execution_async_id()
        assert asynchooks.trigger_async_id() == ids["parent"]

    async def parent() -> None:
        ids["parent"] = asynchooks.execution_async_id()
        await asyncio.create_task(child())

    asyncio.run(parent())
    assert activity.lives[ids["child"]].trigger == ids["parent"]


def test_a_future_is_settled_by_each_of_its_ways(activity: Activity) -> None:
    loop = asyncio.new_event_loop()
    result, exception, cancelled, pending = (loop.create_future() for _ in range(4))
    result.set_result(1)
    exception.set_exception(ValueError())
    assert cancelled.cancel()
    assert not cancelled.cancel()
    assert isinstance(exception.exception(), ValueError)
    futures = activity.of_type("Future")
    loop.close()
    assert [life.events.count("settled") for _, life in futures] == [1, 1, 1, 0]
    del pending


def test_destroy_is_queued_and_told_once(activity: Activity) -> None:
    told_inside: list[bool] = []

    def drop(loop: asyncio.AbstractEventLoop) -> None:
        future = loop.create_future()
        (async_id, life), *_ = activity.of_type("Future")
        life.resource = None
        del future
        told_inside.append("destroy" in activity.lives[async_id].events)

    on_loop(drop)
    ((_, life),) = activity.of_type("Future")
    assert told_inside == [False]
    assert life.events == ["init", "destroy"]


def test_a_busy_loop_of_awaits_still_tells_deaths(activity: Activity) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.create_future()  # dies at once, but for the activity
        activity.forget_resources()
        for _ in range(3):
            await asyncio.sleep(0)
        assert any("destroy" in life.events for _, life in activity.of_type("Future"))

    asyncio.run(main())


def test_every_life_is_balanced_in_a_mixed_program(activity: Activity) -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(fails()) for _ in range(5)]
        sleeper = asyncio.create_task(asyncio.sleep(1000))
        loop.call_later(0, sleeper.cancel)
        loop.call_later(1000, print).cancel()
        await asyncio.gather(*tasks, sleeper, return_exceptions=True)
        async with asyncio.timeout(1000):
            await asyncio.to_thread(lambda: None)

    asyncio.run(main())
    activity.forget_resources()
    gc.collect()
    on_loop(lambda loop: None)
    activity.hook.disable()
    activity.check()
    for async_id, life in activity.lives.items():
        if life.type == "Task" and async_id < max(activity.lives):
            assert life.events.count("before") == life.events.count("after"), (async_id, life)
            assert "destroy" in life.events, (async_id, life)


def test_kinds_are_filtered(engine: None) -> None:
    types: list[str] = []
    hook = asynchooks.create_hook(
        init=lambda async_id, type_name, trigger, resource: types.append(type_name),
        kinds=("Task",),
    ).enable()

    async def main() -> None:
        await asyncio.create_task(asyncio.sleep(0))
        asyncio.get_running_loop().call_soon(print).cancel()

    asyncio.run(main())
    hook.disable()
    assert set(types) == {"Task"}


def test_hooks_are_called_in_the_order_of_enabling(engine: None) -> None:
    calls: list[str] = []

    def make(name: str) -> asynchooks.AsyncHook:
        return asynchooks.create_hook(before=lambda async_id: calls.append(name), kinds=("Handle",))

    first, second = make("first"), make("second")
    second.enable()
    first.enable().enable()
    on_loop(lambda loop: None)
    first.disable()
    second.disable()
    second.disable()
    assert calls[:2] == ["second", "first"]
    assert len(calls) == 4  # two handles: enabled twice is enabled once


def test_a_hook_enabled_in_init_misses_the_current_event(engine: None) -> None:
    """Node's test-async-hooks-enable-in-init."""
    calls: list[str] = []
    late = asynchooks.create_hook(init=lambda *args: calls.append("late"), kinds=("AsyncResource",))

    def enable_late(*args: Any) -> None:
        late.enable()
        if not calls:
            calls.append("nested")
            asynchooks.AsyncResource("Nested")

    early = asynchooks.create_hook(init=enable_late, kinds=("AsyncResource",)).enable()
    asynchooks.AsyncResource("First")
    assert calls == ["nested"]
    early.disable()
    asynchooks.AsyncResource("Second")
    late.disable()
    assert calls == ["nested", "late"]


def test_a_hook_disabled_in_init_still_hears_the_current_event(engine: None) -> None:
    """Node's test-async-hooks-disable-in-init."""
    calls: list[str] = []
    first = asynchooks.create_hook(init=lambda *args: first.disable(), kinds=("AsyncResource",))
    second = asynchooks.create_hook(
        init=lambda *args: calls.append("second"), kinds=("AsyncResource",)
    )
    first.enable()
    second.enable()
    asynchooks.AsyncResource("One")
    second.disable()
    assert calls == ["second"]
    assert not first.enabled


def test_enabled_inside_a_step_hears_its_after(engine: None) -> None:
    """Node's late-hook-enable."""
    events: list[str] = []
    hook = asynchooks.create_hook(
        before=lambda async_id: events.append("before"),
        after=lambda async_id: events.append("after"),
        kinds=("Handle",),
    )
    on_loop(lambda loop: hook.enable(), lambda loop: hook.disable())
    assert events == ["after", "before"]


@pytest.mark.parametrize("event", ["init", "before", "after", "destroy", "settled"])
@pytest.mark.parametrize("exception", [ValueError, asyncio.CancelledError, SystemExit])
def test_a_hook_that_raises_is_reported_once_and_disabled(
    engine: None,
    monkeypatch: pytest.MonkeyPatch,
    event: str,
    exception: type[BaseException],
) -> None:
    reports: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", reports.append)

    def broken(*args: Any) -> None:
        raise exception("on purpose")

    hook = asynchooks.create_hook(**{event: broken}).enable()  # type: ignore[arg-type] # by name

    async def main() -> str:
        for _ in range(3):
            await asyncio.create_task(asyncio.sleep(0))
        return "done"

    assert asyncio.run(main()) == "done"
    gc.collect()
    on_loop(lambda loop: None)
    assert not hook.enabled
    assert len(reports) == 1
    assert isinstance(reports[0].exc_value, exception)


def test_a_hook_may_raise_in_tests(engine: None) -> None:
    def broken(*args: Any) -> None:
        raise ValueError("on purpose")

    hook = asynchooks.create_hook(init=broken, kinds=("AsyncResource",), on_error="raise").enable()
    with pytest.raises(ValueError, match="on purpose"):
        asynchooks.AsyncResource("Mine")
    hook.disable()


def test_an_exception_handler_runs_for_what_failed(activity: Activity) -> None:
    """Node: `uncaughtException` runs before the after, with the ids of the failing resource."""
    seen: dict[str, int] = {}

    def fail(loop: asyncio.AbstractEventLoop) -> None:
        seen["callback"] = asynchooks.execution_async_id()
        raise ValueError

    def set_handler(loop: asyncio.AbstractEventLoop) -> None:
        loop.set_exception_handler(
            lambda loop, context: seen.update(
                handler=asynchooks.execution_async_id(),
                afters=activity.lives[seen["callback"]].events.count("after"),
            )
        )

    def next_one(loop: asyncio.AbstractEventLoop) -> None:
        seen["next"] = asynchooks.execution_async_id()

    on_loop(set_handler, fail, next_one)
    assert seen["handler"] == seen["callback"]
    assert seen["afters"] == 0
    assert activity.lives[seen["callback"]].events[:3] == ["init", "before", "after"]
    assert seen["next"] not in (seen["callback"], 1)


@pytest.mark.parametrize(
    ("arguments", "exception"),
    [
        ({"init": 1}, TypeError),
        ({"kinds": ("Tusk",)}, ValueError),
        ({"on_error": "ignore"}, ValueError),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], exception: type[Exception]) -> None:
    with pytest.raises(exception):
        asynchooks.create_hook(**arguments)


def test_without_the_engine_all_is_top_level() -> None:
    ids: list[int] = []

    async def main() -> None:
        ids.append(asynchooks.execution_async_id())

    asyncio.run(main())
    assert ids == [1]
    assert asynchooks.trigger_async_id() == 0
    assert asynchooks.execution_async_resource() is None

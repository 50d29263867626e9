"""C16 to C23: AsyncResource and destroy, item by item of Node's tests."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks
from asynchooks import AsyncResource

if TYPE_CHECKING:
    from tests.conformance.conftest import Run
    from tests.conftest import Activity


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ((), {}, TypeError),
        ((5,), {}, TypeError),
        (("",), {}, ValueError),
        (("T",), {"trigger_async_id": -4}, ValueError),
        (("T",), {"trigger_async_id": 3.14}, TypeError),
    ],
)
def test_c16_what_a_constructor_refuses(
    engine: None, arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception]
) -> None:
    """test-asyncresource-constructor"""
    with pytest.raises(error):
        AsyncResource(*arguments, **options)


def test_c17_triggers_and_repeated_runs(activity: Activity) -> None:
    """embedder.api.async-resource"""
    resource = AsyncResource("Mine")
    other = AsyncResource("Other", trigger_async_id=99_999)
    assert resource.trigger_async_id() == asynchooks.execution_async_id()
    assert other.trigger_async_id() == 99_999
    for _ in range(3):
        resource.run_in_async_scope(lambda: None)
    assert activity.lives[resource.async_id()].events == ["init", *(["before", "after"] * 3)]
    activity.hook.disable()
    resource.run_in_async_scope(lambda: None)
    resource.emit_destroy()
    assert activity.lives[resource.async_id()].events.count("before") == 3


@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt, asyncio.CancelledError])
def test_c18_an_exception_inside_keeps_the_ids_right(
    activity: Activity, error: type[BaseException]
) -> None:
    """test-async-hooks-run-in-async-scope-caught-exception"""
    outer = asynchooks.execution_async_id()
    resource = AsyncResource("Mine")

    def fail() -> None:
        raise error

    with pytest.raises(error):
        resource.run_in_async_scope(fail)
    assert asynchooks.execution_async_id() == outer
    assert activity.lives[resource.async_id()].events == ["init", "before", "after"]


def test_c19_deep_nesting(engine: None) -> None:
    """test-async-hooks-recursive-stack-runInAsyncScope; less deep: Python limits recursion."""

    def deeper(depth: int, parent: int) -> None:
        assert asynchooks.execution_async_id() == parent
        if depth:
            resource = AsyncResource("Nested")
            assert resource.trigger_async_id() == parent
            resource.run_in_async_scope(deeper, depth - 1, resource.async_id())
        assert asynchooks.execution_async_id() == parent

    deeper(300, asynchooks.execution_async_id())


def test_c20_what_nobody_holds_is_destroyed(activity: Activity) -> None:
    """test-async-hooks-destroy-on-gc"""
    resource = AsyncResource("Mine")
    async_id = resource.async_id()
    activity.forget_resources()
    del resource
    gc.collect()
    AsyncResource("Next").run_in_async_scope(lambda: None)
    assert activity.lives[async_id].events == ["init", "destroy"]


def test_c21_destroyed_by_hand_and_collected_is_told_once(activity: Activity) -> None:
    """test-async-hooks-prevent-double-destroy"""
    resource = AsyncResource("Mine")
    async_id = resource.async_id()
    resource.emit_destroy()
    activity.forget_resources()
    del resource
    gc.collect()
    AsyncResource("Next").run_in_async_scope(lambda: None)
    assert activity.lives[async_id].events.count("destroy") == 1


def test_c22_destroyed_by_hand_only(activity: Activity) -> None:
    """test-async-hooks-disable-gc-tracking"""
    resource = AsyncResource("Mine", requires_manual_destroy=True)
    async_id = resource.async_id()
    activity.forget_resources()
    del resource
    gc.collect()
    AsyncResource("Next").run_in_async_scope(lambda: None)
    assert activity.lives[async_id].events == ["init"]


def test_c23_destroy_is_not_told_in_the_middle_and_not_starved(
    activity: Activity, run: Run
) -> None:
    """test-async-hooks-destroy-not-blocked"""

    async def main() -> bool:
        resource = AsyncResource("Mine")
        async_id = resource.async_id()
        resource.emit_destroy()
        in_the_middle = "destroy" in activity.lives[async_id].events
        for _ in range(3):
            await asyncio.sleep(0)
        assert "destroy" in activity.lives[async_id].events
        return in_the_middle

    assert run(main()) is False

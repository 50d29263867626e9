"""AsyncResource."""

from __future__ import annotations

import contextvars
import gc
import inspect
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks
from asynchooks import AsyncResource

if TYPE_CHECKING:
    from tests.conftest import Activity

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")


def test_it_runs_as_itself_in_its_own_context(activity: Activity) -> None:
    context = contextvars.copy_context()
    context.run(variable.set, "there")
    resource = context.run(AsyncResource, "MyPool")

    def inside(a: int, *, b: int) -> tuple[object, ...]:
        return (
            a + b,
            variable.get(),
            asynchooks.execution_async_id(),
            asynchooks.trigger_async_id(),
            asynchooks.execution_async_resource(),
        )

    result = resource.run_in_async_scope(inside, 1, b=2)
    assert result == (3, "there", resource.async_id(), 1, resource)
    assert resource.trigger_async_id() == 1
    assert activity.lives[resource.async_id()].events == ["init", "before", "after"]
    assert activity.lives[resource.async_id()].type == "MyPool"


def test_changes_of_context_do_not_outlive_the_run(engine: None) -> None:
    resource = AsyncResource("R")
    resource.run_in_async_scope(variable.set, "changed")
    assert resource.run_in_async_scope(variable.get) == "none"


@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt])
def test_an_exception_passes_and_the_ids_come_back(
    activity: Activity, exception: type[BaseException]
) -> None:
    resource = AsyncResource("R")

    def fail() -> None:
        raise exception

    with pytest.raises(exception):
        resource.run_in_async_scope(fail)
    assert asynchooks.execution_async_id() == 1
    assert activity.lives[resource.async_id()].events == ["init", "before", "after"]


def test_it_nests_deeply(engine: None) -> None:
    def nest(depth: int) -> None:
        resource = AsyncResource("R")
        outer = asynchooks.execution_async_id()

        def inside() -> None:
            assert asynchooks.execution_async_id() == resource.async_id()
            assert asynchooks.trigger_async_id() == outer
            if depth:
                nest(depth - 1)
            assert asynchooks.execution_async_id() == resource.async_id()

        resource.run_in_async_scope(inside)

    nest(200)


def test_destroy_by_hand_by_collection_and_not_twice(activity: Activity) -> None:
    by_hand, collected = AsyncResource("R"), AsyncResource("R")
    manual = AsyncResource("R", requires_manual_destroy=True)
    ids = [resource.async_id() for resource in (by_hand, collected, manual)]
    by_hand.emit_destroy()
    by_hand.emit_destroy()
    activity.forget_resources()
    del by_hand, collected, manual
    gc.collect()
    asynchooks.AsyncResource("Flush").run_in_async_scope(lambda: None)
    import asyncio

    asyncio.run(asyncio.sleep(0))
    assert [activity.lives[i].events.count("destroy") for i in ids] == [1, 1, 0]


def test_a_trigger_can_be_given(activity: Activity) -> None:
    resource = AsyncResource("R", trigger_async_id=77)
    assert resource.trigger_async_id() == activity.lives[resource.async_id()].trigger == 77


@pytest.mark.parametrize(
    ("args", "kwargs", "exception"),
    [
        ((), {}, TypeError),
        ((1,), {}, TypeError),
        (("",), {}, ValueError),
        (("R",), {"trigger_async_id": -4}, ValueError),
        (("R",), {"trigger_async_id": 3.14}, TypeError),
    ],
)
def test_wrong_arguments(
    args: tuple[Any, ...], kwargs: dict[str, Any], exception: type[Exception]
) -> None:
    with pytest.raises(exception):
        AsyncResource(*args, **kwargs)


def test_bind_keeps_name_and_signature(engine: None) -> None:
    resource = AsyncResource("R")

    def handler(a: int, b: str = "x") -> int:
        return asynchooks.execution_async_id()

    bound = resource.bind(handler)
    assert bound(1) == resource.async_id()
    assert bound.__name__ == "handler"
    assert inspect.signature(bound) == inspect.signature(handler)
    with pytest.raises(TypeError):
        resource.bind(42)  # type: ignore[arg-type] # on purpose


def test_subclasses_may_have_arguments_of_their_own(engine: None) -> None:
    class Pool(AsyncResource):
        def __init__(self, name: str, size: int) -> None:
            self.size = size

    pool = Pool("Pool", 3)
    assert pool.size == 3
    assert pool.type == "Pool"


def test_any_str_is_a_type_name(activity: Activity) -> None:
    class Name(str):
        __slots__ = ()

    for name in ("\udc80", Name("subclass")):
        resource = asynchooks.AsyncResource(name)
        assert activity.lives[resource.async_id()].type is name

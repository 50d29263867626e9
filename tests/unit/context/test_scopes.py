"""Scopes that are left out of order, at once, and elsewhere; decorators."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

Storage = asynchooks.AsyncLocalStorage[Any]


@pytest.fixture
def storage() -> Storage:
    return asynchooks.AsyncLocalStorage(name="scopes", default="outside")


def test_left_out_of_order_nothing_stays_behind(storage: Storage) -> None:
    """Node's leaves the first store behind."""
    first, second = storage.use("first"), storage.use("second")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert storage.get_store() == "second"
    second.__exit__(None, None, None)
    assert storage.get_store() == "outside"
    second.__exit__(None, None, None)  # once more: there is nothing of it
    assert storage.get_store() == "outside"


def test_one_scope_entered_in_itself_and_by_many_tasks(storage: Storage) -> None:
    scope = storage.use("A")

    async def one() -> None:
        with scope:
            await asyncio.sleep(0)
            with storage.use("B"), scope:
                await asyncio.sleep(0)
                assert storage.get_store() == "A"
            assert storage.get_store() == "A"
        assert storage.get_store() == "outside"

    async def main() -> None:
        await asyncio.gather(*(one() for _ in range(5)))

    asyncio.run(main())


@pytest.mark.parametrize("how", ["enter_with", "disable and enter_with", "run"])
def test_whatever_is_set_inside_ends_with_the_scope(storage: Storage, how: str) -> None:
    with storage.use("before"):
        with storage.use("A"):
            if how.startswith("disable"):
                storage.disable()
            if how == "run":
                storage.run("set", storage.enter_with, "set")
                assert storage.get_store() == "A"
            else:
                storage.enter_with("set")
                assert storage.get_store() == "set"
        expected = "set" if how.startswith("disable") else "before"
        assert storage.get_store() == expected, "after disable() there is nothing to restore"


def test_left_where_the_same_store_is_somebody_else_s(storage: Storage) -> None:
    mine, other = storage.use(1), storage.use(1)
    contextvars.copy_context().run(mine.__enter__)
    with other:
        mine.__exit__(None, None, None)
        assert storage.get_store() == 1


def test_a_chain_of_tasks_keeps_no_chain_of_stores(storage: Storage) -> None:
    class Store:
        pass

    stores: list[weakref.ref[Store]] = []
    done = asyncio.Event()

    async def link(depth: int) -> None:
        with storage.use(Store()) as store:
            stores.append(weakref.ref(store))
            if depth:
                asyncio.get_running_loop().create_task(link(depth - 1)).add_done_callback(
                    tasks.discard
                )
            else:
                gc.collect()
                alive.extend(reference() is not None for reference in stores)
                done.set()

    tasks: set[asyncio.Task[None]] = set()
    alive: list[bool] = []

    async def main() -> None:
        first = asyncio.create_task(link(10))
        await done.wait()
        await first

    asyncio.run(main())
    assert sum(alive) <= 3, "its own, and those of the tasks that have just ended"


def test_a_scope_restores_what_was_not_set(storage: Storage) -> None:
    context = contextvars.Context()
    context.run(lambda: storage.use("A").__enter__())
    assert len(context) == 1

    def use() -> None:
        with storage.use("A"):
            pass
        storage.run("A", storage.get_store)

    clean = contextvars.Context()
    clean.run(use)
    assert len(clean) == 0


def test_wrap_gives_each_call_a_store_of_its_own(storage: Storage) -> None:
    numbers = iter(range(100))

    @storage.wrap(lambda: next(numbers))
    def function() -> Any:
        return storage.get_store()

    @storage.wrap(lambda: next(numbers))
    async def coroutine_function() -> Any:
        await asyncio.sleep(0)
        return storage.get_store()

    @storage.wrap(lambda: next(numbers))
    def generator_function() -> Iterator[Any]:
        received = yield storage.get_store()
        yield received, storage.get_store()

    @storage.wrap(lambda: next(numbers))
    async def async_generator_function() -> AsyncIterator[Any]:
        await asyncio.sleep(0)
        yield storage.get_store()

    async def main() -> None:
        assert [function(), function()] == [0, 1]
        both = await asyncio.gather(coroutine_function(), coroutine_function())
        assert list(both) == [2, 3]
        first: Any = generator_function()
        assert next(first) == 4
        assert first.send("sent") == ("sent", 4)
        assert [item async for item in async_generator_function()] == [5]
        assert storage.get_store() == "outside"

    asyncio.run(main())


def test_subclasses_and_arguments(storage: Storage) -> None:
    class Named(asynchooks.AsyncLocalStorage[int]):
        def __init__(self, number: int) -> None:
            super().__init__(name=f"number {number}", default=number)

    named = Named(5)
    assert (named.name, named.get_store(), named.run(6, named.get_store)) == ("number 5", 5, 6)
    with pytest.raises(TypeError):
        storage.run("A")  # type: ignore[call-arg] # on purpose
    with pytest.raises(TypeError):
        storage.exit()  # type: ignore[call-arg] # on purpose
    with pytest.raises(AttributeError):
        storage.name = "other"


def test_where_a_carried_coroutine_waits_can_be_seen(storage: Storage) -> None:
    """As a debugger, asyncio's own call graphs and diagnosis do."""

    async def inner() -> None:
        await asyncio.sleep(0)

    async def outer() -> None:
        await inner()

    coroutine = storage.run("A", outer)
    coroutine.send(None)
    waits: list[str] = []
    waiting: Any = coroutine
    while hasattr(waiting, "cr_await"):
        waits.append(waiting.cr_frame.f_code.co_name)
        waiting = waiting.cr_await
    assert waits[-3:] == ["outer", "inner", "sleep"]
    coroutine.close()

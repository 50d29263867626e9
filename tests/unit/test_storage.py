"""AsyncLocalStorage: the stores, and what does not leak."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from asynchooks import AsyncLocalStorage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def test_name_default_and_unset() -> None:
    storage = AsyncLocalStorage[str](name="request", default="none")
    assert (storage.name, storage.default, storage.get_store()) == ("request", "none", "none")
    assert "request" in repr(storage)
    assert AsyncLocalStorage[str]().get_store() is None


@pytest.mark.parametrize("store", [None, 0, "", False, {}])
def test_any_value_is_a_store(store: object) -> None:
    storage = AsyncLocalStorage[object](default="default")
    assert storage.run(store, storage.get_store) is store


def test_run_nests_and_restores_also_on_errors() -> None:
    storage = AsyncLocalStorage[int]()

    def inner() -> int | None:
        assert storage.get_store() == 2
        raise LookupError

    def outer() -> int | None:
        with pytest.raises(LookupError):
            storage.run(2, inner)
        return storage.get_store()

    assert storage.run(1, outer) == 1
    assert storage.get_store() is None


def test_run_passes_arguments_and_the_result() -> None:
    storage = AsyncLocalStorage[int]()

    def inner(a: str, *, b: str) -> tuple[str, str, int | None]:
        return a, b, storage.get_store()

    assert storage.run(1, inner, "a", b="b") == ("a", "b", 1)


def test_two_storages_do_not_mix() -> None:
    a, b = AsyncLocalStorage[int](), AsyncLocalStorage[int]()

    def inside() -> tuple[object, ...]:
        b.enter_with(9)
        return a.exit(lambda: (a.get_store(), b.get_store())), a.get_store()

    assert a.run(1, b.run, 2, inside) == ((None, 9), 1)
    assert (a.get_store(), b.get_store()) == (None, None)


def test_exit_gives_the_default_and_restores() -> None:
    storage = AsyncLocalStorage[int](default=7)
    assert storage.run(1, lambda: (storage.exit(storage.get_store), storage.get_store())) == (7, 1)


def test_a_coroutine_function_has_its_store_across_awaits_and_its_awaiter_has_not() -> None:
    storage = AsyncLocalStorage[str]()

    async def work() -> list[str | None]:
        seen = [storage.get_store()]
        await asyncio.sleep(0)
        seen.append(storage.get_store())
        storage.enter_with("own")
        await asyncio.sleep(0)
        seen.append(storage.get_store())
        return seen

    async def main() -> None:
        coroutine = storage.run("A", work)
        assert inspect.iscoroutine(coroutine)
        assert storage.get_store() is None
        task = asyncio.create_task(storage.run("B", work))
        assert await coroutine == ["A", "A", "own"]
        assert storage.get_store() is None
        assert await task == ["B", "B", "own"]
        with pytest.raises(ValueError, match="on purpose"):
            await storage.run("C", fail)
        assert storage.get_store() is None

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError(f"on purpose {storage.get_store()}")

    asyncio.run(main())


def test_cancelling_reaches_the_body_with_its_store() -> None:
    storage = AsyncLocalStorage[str]()
    seen: list[str | None] = []

    async def body() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            seen.append(storage.get_store())

    async def main() -> None:
        task = asyncio.create_task(storage.run("A", body))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == ["A"]


def test_a_generator_has_its_store_at_each_step_and_its_consumer_has_not() -> None:
    storage = AsyncLocalStorage[str]()
    closed: list[str | None] = []

    def body() -> Iterator[tuple[str | None, object]]:
        sent: object = None
        try:
            while True:
                sent = yield storage.get_store(), sent
        finally:
            closed.append(storage.get_store())

    generator: Any = storage.run("A", body)
    assert next(generator) == ("A", None)
    assert storage.get_store() is None
    assert storage.run("B", generator.send, 5) == ("A", 5)
    generator.close()
    assert closed == ["A"]


def test_an_async_generator_has_its_store_in_whichever_task_steps_it() -> None:
    storage = AsyncLocalStorage[str]()
    closed: list[str | None] = []

    async def body() -> AsyncIterator[str | None]:
        try:
            while True:
                await asyncio.sleep(0)
                yield storage.get_store()
        finally:
            closed.append(storage.get_store())

    async def main() -> None:
        generator: Any = storage.run("A", body)
        assert await anext(generator) == "A"
        assert storage.get_store() is None
        assert await asyncio.create_task(generator.__anext__()) == "A"
        await generator.aclose()

    asyncio.run(main())
    assert closed == ["A"]


def test_a_scope_in_with_and_async_with_and_again() -> None:
    storage = AsyncLocalStorage[int]()
    scope = storage.use(1)

    async def main() -> None:
        async with storage.use(2) as store:
            await asyncio.sleep(0)
            assert store == storage.get_store() == 2
        assert storage.get_store() is None

    for _ in range(2):
        with scope as store:
            assert store == storage.get_store() == 1
        assert storage.get_store() is None
    asyncio.run(main())


def test_a_scope_may_be_left_in_another_context() -> None:
    storage = AsyncLocalStorage[int]()

    async def main() -> None:
        scope = storage.use(1)
        await asyncio.create_task(scope.__aenter__())
        await asyncio.create_task(scope.__aexit__(None, None, None))

    asyncio.run(main())


def test_disable_drops_every_store_for_good() -> None:
    storage = AsyncLocalStorage[int](default=0)
    seen: list[int | None] = []

    async def main() -> None:
        release = asyncio.Event()

        async def waiter() -> None:
            await release.wait()
            seen.append(storage.get_store())

        task = asyncio.create_task(storage.run(1, waiter))
        await asyncio.sleep(0)
        storage.disable()
        seen.append(storage.run(2, storage.get_store))
        release.set()
        await task

    asyncio.run(main())
    assert seen == [2, 0]
    assert storage.get_store() == 0


def test_bind_and_snapshot_run_anywhere_many_at_once() -> None:
    storage = AsyncLocalStorage[int]()

    def handler(a: int, b: int = 2) -> tuple[int, int | None]:
        return a + b, storage.get_store()

    bound = storage.run(1, AsyncLocalStorage.bind, handler)
    snapshot = storage.run(2, AsyncLocalStorage.snapshot)
    assert storage.run(3, bound, 1) == (3, 1)
    assert inspect.signature(bound) == inspect.signature(handler)
    assert snapshot(snapshot, storage.get_store) == 2  # re-entered
    barrier = threading.Barrier(4)

    def meet() -> int | None:
        barrier.wait(30)
        return storage.get_store()

    with ThreadPoolExecutor(4) as pool:
        assert [f.result() for f in [pool.submit(snapshot, meet) for _ in range(4)]] == [2] * 4
    with pytest.raises(TypeError):
        AsyncLocalStorage.bind(1)  # type: ignore[arg-type] # on purpose


def test_stores_are_freed_with_what_held_them() -> None:
    class Store:
        pass

    storage = AsyncLocalStorage[Store]()

    async def main() -> None:
        store = Store()
        reference = weakref.ref(store)
        await asyncio.create_task(storage.run(store, asyncio.sleep, 0))
        storage.run(store, lambda: None)
        del store
        gc.collect()
        assert reference() is None

    asyncio.run(main())


def test_concurrent_tasks_keep_their_own() -> None:
    storage = AsyncLocalStorage[int]()

    async def one(number: int) -> bool:
        storage.enter_with(number)
        for _ in range(10):
            await asyncio.sleep(0)
            if storage.get_store() != number:
                return False
        return True

    async def main() -> list[bool]:
        return list(await asyncio.gather(*(one(number) for number in range(100))))

    assert all(asyncio.run(main()))


def test_where_node_s_implementations_disagree_or_leak() -> None:
    """The tables at the end of docs/context.md, as far as no other test has them."""
    storage = AsyncLocalStorage[str](default="D")

    def enter_inside_exit() -> str | None:
        storage.exit(storage.enter_with, "leaks")
        return storage.get_store()

    assert storage.run("A", enter_inside_exit) == "A"
    assert storage.run("A", storage.exit, storage.get_store) == "D"
    assert storage.get_store() == "D"

    def run_with_what_is_in_force() -> str | None:
        storage.run("A", storage.enter_with, "leaks")
        return storage.get_store()

    assert storage.run("A", run_with_what_is_in_force) == "A"

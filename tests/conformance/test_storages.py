"""C2 to C15: AsyncLocalStorage, item by item of Node's tests."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks
from asynchooks import AsyncLocalStorage, AsyncResource

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.conformance.conftest import Run
    from tests.conftest import Activity


def test_c2_a_scope_ends_with_its_block() -> None:
    """test-async-local-storage-run-scope"""
    first = AsyncLocalStorage[str](default="D")
    second = AsyncLocalStorage[str]()
    with first.use("a"):
        with second.use("x"), first.use("b"):
            assert (first.get_store(), second.get_store()) == ("b", "x")
        assert (first.get_store(), second.get_store()) == ("a", None)

        def fail() -> None:
            with first.use("c"):
                raise LookupError

        with pytest.raises(LookupError):
            fail()
        assert first.get_store() == "a"
    assert first.get_store() == "D"


def test_c3_storages_are_isolated() -> None:
    """test-async-local-storage-isolation"""
    first, second = AsyncLocalStorage[str](), AsyncLocalStorage[str]()

    def inside() -> None:
        second.enter_with("of second")
        first.disable()
        assert first.get_store() is None
        assert second.get_store() == "of second"

    first.run("of first", inside)
    assert first.get_store() is None
    assert second.get_store() == "of second", "what another storage entered persists"
    second.disable()


def test_c4_disabled_is_now_and_in_later_callbacks(engine: None, run: Run) -> None:
    """test-async-local-storage-enable-disable. Where Node's two implementations differ, on
    callbacks that are older than a disable(), ours stay without a store for good."""
    storage = AsyncLocalStorage[str]()
    seen: list[str | None] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def inside() -> None:
            loop.call_soon(lambda: seen.append(storage.get_store()))
            storage.disable()
            seen.append(storage.get_store())
            storage.exit(lambda: seen.append(storage.get_store()))
            loop.call_soon(done.set_result, None)

        storage.run("first", inside)
        seen.append(storage.run("again", storage.get_store))
        await done

    run(main())
    assert seen == [None, None, "again", None]


def test_c5_entering_does_not_reach_what_was_scheduled_before(engine: None, run: Run) -> None:
    """test-async-local-storage-enter-with"""
    storage = AsyncLocalStorage[str]()
    seen: list[str | None] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        entered = loop.create_future()
        entered.add_done_callback(lambda _: seen.append(storage.get_store()))

        def enter() -> None:
            storage.enter_with("entered")
            loop.call_soon(lambda: seen.append(storage.get_store()))
            entered.set_result(None)

        loop.call_soon(enter)
        await entered
        seen.append(storage.get_store())

    run(main())
    assert seen == ["entered", None, None]


def test_c6_contexts_do_not_mix(engine: None, run: Run) -> None:
    """test-async-local-storage-no-mix-contexts, and on two loops in two threads."""
    first, second = AsyncLocalStorage[int](), AsyncLocalStorage[int]()

    async def flow(number: int) -> tuple[int | None, ...]:
        async def inner() -> tuple[int | None, ...]:
            await asyncio.sleep(0)
            outside = first.exit(first.get_store)
            await asyncio.sleep(0)
            return first.get_store(), second.get_store(), outside

        return await first.run(number, lambda: second.run(-number, inner))

    async def main() -> list[tuple[int | None, ...]]:
        return await asyncio.gather(*(flow(number) for number in range(1, 20)))

    expected = [(number, -number, None) for number in range(1, 20)]
    assert run(main()) == expected
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(run(main()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected, expected]


@pytest.mark.parametrize("store", [None, 0, "", False, [], object(), AsyncLocalStorage()])
def test_c7_any_value_is_a_store(store: object) -> None:
    """test-async-local-storage-misc-stores"""
    storage = AsyncLocalStorage[object](default="D")
    assert storage.run(store, storage.get_store) is store
    assert storage.get_store() == "D"


def test_c8_an_error_restores_the_store(engine: None, run: Run) -> None:
    """test-async-local-storage-errors"""
    storage = AsyncLocalStorage[str]()

    def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        storage.run("inside", fail)
    assert storage.get_store() is None

    async def main() -> str | None:
        with pytest.raises(LookupError):
            await storage.run("inside", fail_later)
        return storage.get_store()

    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise LookupError

    assert run(main()) is None


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="3.11 calls the exception handler outside of the context"
)
def test_c8_an_exception_handler_has_the_failing_flow_s_store(engine: None) -> None:
    """test-async-local-storage-errors. asyncio's loop only: uvloop calls it outside."""
    storage = AsyncLocalStorage[str]()
    seen: list[str | None] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: seen.append(storage.get_store()))
        storage.run("failing", lambda: loop.call_soon(lambda: 1 / 0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert seen == ["failing"]


class Store:
    """Something that a weak reference can watch."""


def test_c9_a_storage_that_was_disabled_is_collected() -> None:
    """test-async-local-storage-gcable. Its store goes with the context that it was entered in."""

    def enter_and_disable() -> tuple[weakref.ref[Any], weakref.ref[Store]]:
        storage = AsyncLocalStorage[Store]()
        store = Store()
        storage.enter_with(store)
        assert storage.get_store() is store
        storage.disable()
        return weakref.ref(storage), weakref.ref(store)

    context = contextvars.copy_context()
    storage, store = context.run(enter_and_disable)
    gc.collect()
    assert storage() is None
    del context
    gc.collect()
    assert store() is None


def test_c9_stores_go_with_the_flow_that_held_them(engine: None, run: Run) -> None:
    """test-async-local-storage-gcable"""
    storage = AsyncLocalStorage[Store]()

    async def main() -> weakref.ref[Store]:
        store = Store()
        gone = weakref.ref(store)

        async def inside() -> None:
            await asyncio.sleep(0)

        await asyncio.create_task(storage.run(store, inside))
        return gone

    gone = run(main())
    gc.collect()
    assert gone() is None


def test_c10_a_store_that_refers_to_what_runs_in_it_is_collected(engine: None, run: Run) -> None:
    """test-async-local-storage-weak-asyncwrap-leak"""
    storage = AsyncLocalStorage[Any]()

    async def main() -> weakref.ref[Any]:
        class Connection(AsyncResource):
            pass

        holder: dict[str, Any] = {}

        async def inside() -> None:
            holder.update(resource=Connection("Connection"), task=asyncio.current_task())
            assert storage.get_store() is holder
            await asyncio.sleep(0)

        await asyncio.create_task(storage.run(holder, inside))
        return weakref.ref(holder["resource"])

    gone = run(main())
    gc.collect()
    assert gone() is None


def test_c11_an_awaitable_s_own_code_has_its_awaiter_s_store(engine: None, run: Run) -> None:
    """test-async-local-storage-thenable"""
    storage = AsyncLocalStorage[str]()
    seen: list[str | None] = []

    class Awaitable:
        def __await__(self) -> Generator[Any, Any, str]:
            seen.append(storage.get_store())
            yield from asyncio.sleep(0).__await__()
            seen.append(storage.get_store())
            return "done"

    async def inside() -> str:
        return await Awaitable()

    async def main() -> str:
        return await storage.run("of the awaiter", inside)

    assert run(main()) == "done"
    assert seen == ["of the awaiter"] * 2


def test_c12_running_makes_no_resource(activity: Activity) -> None:
    """test-async-local-storage-run-resource"""
    storage = AsyncLocalStorage[int]()
    before = asynchooks.execution_async_id(), asynchooks.execution_async_resource()
    with storage.use(1):
        assert storage.run(2, asynchooks.execution_async_id) == before[0]
    assert asynchooks.execution_async_resource() is before[1]
    assert activity.order == []


def test_c13_deep_runs_and_exits_leave_nothing_behind() -> None:
    """test-async-local-storage-exit-does-not-leak"""
    storage = AsyncLocalStorage[int]()
    before = len(contextvars.copy_context())

    def deeper(depth: int) -> None:
        if depth:
            storage.run(depth, lambda: storage.exit(lambda: deeper(depth - 1)))

    for _ in range(20):
        deeper(50)
    assert len(contextvars.copy_context()) <= before + 1


def test_c14_a_snapshot_is_of_its_own_time() -> None:
    """test-async-local-storage-snapshot"""
    storage = AsyncLocalStorage[int]()
    snapshot = storage.run(123, AsyncLocalStorage.snapshot)
    assert storage.run(321, lambda: snapshot(storage.get_store)) == 123
    # Inside itself, and in several threads at once.
    assert snapshot(lambda: snapshot(lambda: snapshot(storage.get_store))) == 123
    barrier = threading.Barrier(4)

    def meet() -> int | None:
        barrier.wait(60)
        return storage.get_store()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: snapshot(meet), range(4))) == [123] * 4


def test_c14_what_is_entered_in_a_snapshot_stays_in_that_call() -> None:
    """test-async-local-storage-snapshot, as Node's current implementation has it."""
    storage = AsyncLocalStorage[int]()
    snapshot = storage.run(123, AsyncLocalStorage.snapshot)
    snapshot(storage.enter_with, 7)
    assert snapshot(storage.get_store) == 123


def test_c15_bind(engine: None) -> None:
    """test-asyncresource-bind"""
    storage = AsyncLocalStorage[int]()
    resource = storage.run(1, lambda: AsyncResource("Bound"))

    def handler(a: int, b: int = 2) -> tuple[Any, ...]:
        """Its own words."""
        return a, b, storage.get_store(), asynchooks.execution_async_id()

    bound = resource.bind(handler)
    assert bound(5) == (5, 2, 1, resource.async_id())
    assert inspect.signature(bound) == inspect.signature(handler)
    assert bound.__doc__ == handler.__doc__
    statically = storage.run(3, lambda: AsyncLocalStorage.bind(handler))
    assert statically(5)[:3] == (5, 2, 3)
    for bind in (resource.bind, AsyncLocalStorage.bind):
        with pytest.raises(TypeError, match="expected a function"):
            bind(42)  # type: ignore[arg-type] # on purpose

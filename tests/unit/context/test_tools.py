"""bind, snapshot, detached, each, shared, isolated: their corners."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import pickle
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks
from asynchooks import _reporting
from asynchooks.context import states

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

Storage = asynchooks.AsyncLocalStorage[str]

portable = asynchooks.AsyncLocalStorage[str](name="tests.portable", portable=True)


@pytest.fixture
def storage() -> Storage:
    return asynchooks.AsyncLocalStorage(name="tools", default="outside")


async def coroutine_function(storage: Storage) -> str | None:
    await asyncio.sleep(0)
    return storage.get_store()


def generator_function(storage: Storage) -> Iterator[str | None]:
    yield storage.get_store()
    yield storage.get_store()


async def async_generator_function(storage: Storage) -> AsyncIterator[str | None]:
    await asyncio.sleep(0)
    yield storage.get_store()


def function(storage: Storage) -> str | None:
    """Its own words."""
    return storage.get_store()


FUNCTIONS = (function, coroutine_function, generator_function, async_generator_function)
TOOLS = (asynchooks.bind, asynchooks.detached, asynchooks.isolated)


def kind(fn: Any) -> tuple[bool, ...]:
    return (
        inspect.iscoroutinefunction(fn),
        inspect.isgeneratorfunction(fn),
        inspect.isasyncgenfunction(fn),
    )


@pytest.mark.parametrize("fn", FUNCTIONS)
@pytest.mark.parametrize("tool", TOOLS)
def test_functions_keep_their_kind_name_and_signature(tool: Any, fn: Any) -> None:
    made = tool(fn)
    assert kind(made) == kind(fn)
    assert (made.__name__, made.__doc__) == (fn.__name__, fn.__doc__)
    assert inspect.signature(made) == inspect.signature(fn)


@pytest.mark.parametrize("is_called_before", [False, True])
@pytest.mark.parametrize(
    ("tool", "expected"), [(asynchooks.bind, "here"), (asynchooks.detached, "outside")]
)
def test_what_exists_is_carried_as_well(
    storage: Storage, tool: Any, expected: str, is_called_before: bool
) -> None:
    def make(fn: Any) -> Any:
        return tool(fn(storage)) if is_called_before else tool(fn)

    def run(made: Any) -> Any:
        return made if is_called_before else made(storage)

    async def main() -> None:
        with storage.use("here"):
            coroutine, generator, items = map(make, FUNCTIONS[1:])
        with storage.use("elsewhere"):
            assert await run(coroutine) == expected
            assert list(run(generator)) == [expected] * 2
            assert [item async for item in run(items)] == [expected]
            assert storage.get_store() == "elsewhere"

    asyncio.run(main())


@pytest.mark.parametrize("tool", TOOLS)
def test_nothing_that_could_run(tool: Any) -> None:
    with pytest.raises(TypeError, match=rf"{tool.__name__}\(\) got 42, expected a function"):
        tool(42)


def test_bound_work_is_caused_by_the_place_of_binding(engine: None) -> None:
    async def main() -> None:
        made: list[Any] = []

        def work() -> asyncio.Future[None]:
            return asyncio.get_running_loop().create_future()

        async def producer() -> int:
            made.append(asynchooks.bind(work))
            return asynchooks.execution_async_id()

        of_producer = await asyncio.create_task(producer())
        future = made[0]()
        lives = {info.async_id: info for info in asynchooks.resources()}
        born = lives[asynchooks.async_id(future)]
        assert lives[born.created_by].name.endswith("work")
        assert lives[born.created_by].created_by == of_producer

    asyncio.run(main())


def test_a_snapshot_pickles_what_is_portable(storage: Storage) -> None:
    with storage.use("stays"), portable.use("travels"):
        here = asynchooks.snapshot()
    there: asynchooks.Snapshot = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(here))))
    assert here.portable_stores() == there.portable_stores() == {"tests.portable": "travels"}
    assert (here(portable.get_store), there(portable.get_store)) == ("travels", "travels")
    assert (here(storage.get_store), there(storage.get_store)) == ("stays", "outside")
    assert asyncio.run(there(coroutine_function, portable)) == "travels"
    with pytest.raises(ValueError, match="has no name"):
        asynchooks.AsyncLocalStorage(portable=True)


def test_a_snapshot_knows_storages_that_are_made_after_it_has_arrived() -> None:
    there = asynchooks.Snapshot("Snapshot", {"tests.late": "travels"})
    assert there(portable.get_store) is None
    late = asynchooks.AsyncLocalStorage[str](name="tests.late", portable=True)
    assert there(late.get_store) == "travels"


def test_a_detached_block_ends_with_everything_as_it_was(engine: None, storage: Storage) -> None:
    variable = contextvars.ContextVar[str]("variable")

    async def main() -> None:
        variable.set("before")
        with storage.use("A"):
            me = asynchooks.execution_async_id()
            with asynchooks.detached():
                assert (storage.get_store(), variable.get(None)) == ("outside", None)
                variable.set("inside")
                assert asynchooks.execution_async_id() == 0
                task = asyncio.create_task(coroutine_function(storage))
                await asyncio.sleep(0)
                assert (storage.get_store(), variable.get(None)) == ("outside", "inside")
            assert (storage.get_store(), variable.get()) == ("A", "before")
            assert asynchooks.execution_async_id() == me
            assert await task == "outside"

    asyncio.run(main())
    with asynchooks.detached(), asynchooks.detached():
        assert asynchooks.execution_async_id() == 0
    assert asynchooks.execution_async_id() == 1


def test_each_of_an_iterable_and_of_nothing_to_iterate(storage: Storage) -> None:
    variable = contextvars.ContextVar[str]("variable")
    seen = []
    for number in asynchooks.each([1, 2]):
        seen.append((number, storage.get_store(), variable.get(None)))
        storage.enter_with("set")
        variable.set("set")
    assert seen == [(1, "outside", None), (2, "outside", None)]
    assert (storage.get_store(), variable.get(None)) == ("outside", None)
    with pytest.raises(TypeError, match="say which messages"):
        asynchooks.each(42)  # type: ignore[call-overload] # on purpose


def test_shared_errors_and_cancelling() -> None:
    begun, cancelled = [], []

    @asynchooks.shared
    async def work(key: str, *, fails: bool = False) -> str:
        begun.append(key)
        try:
            await asyncio.sleep(0 if fails else 3600)
        except asyncio.CancelledError:
            cancelled.append(key)
            raise
        raise LookupError(key)

    async def main() -> None:
        failed = await asyncio.gather(
            *(work("a", fails=True) for _ in range(3)), return_exceptions=True
        )
        assert [type(error) for error in failed] == [LookupError] * 3
        assert begun == ["a"]
        waiters = [asyncio.create_task(work("b")) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiters[0].cancel()
        await asyncio.wait(waiters[:1])
        assert (begun, cancelled) == (["a", "b"], []), "the other still waits"
        waiters[1].cancel()
        await asyncio.wait(waiters[1:])
        # It is being cancelled: who comes now begins anew.
        last = asyncio.create_task(work("b"))
        while len(begun) < 3:
            await asyncio.sleep(0)
        assert cancelled == ["b"]
        last.cancel()
        await asyncio.wait([last])

    asyncio.run(main())


def test_links_are_kept_of_the_newest_and_told_once(engine: None) -> None:
    async def main() -> None:
        other = asyncio.get_running_loop().create_future()
        here = asynchooks.snapshot()
        for cause in (other, here, other, object(), asynchooks.execution_async_id()):
            asynchooks.link(cause)
        task = asyncio.current_task()
        (info,) = (i for i in asynchooks.resources(kind="Task") if i.resource is task)
        assert info.linked_to == (asynchooks.async_id(other), here.async_id())

    asyncio.run(main())


def test_isolated_sees_what_changes_outside_but_for_its_own(engine: None) -> None:
    own, given = contextvars.ContextVar[str]("own"), contextvars.ContextVar[str]("given")

    @asynchooks.isolated
    def rows() -> Iterator[tuple[str, str]]:
        own.set("own")
        while True:
            yield own.get("unset"), given.get("unset")

    generator: Any = rows()
    assert next(generator) == ("own", "unset")
    token = given.set("1")
    assert next(generator) == ("own", "1")
    given.set("2")
    own.set("not seen")
    assert next(generator) == ("own", "2")
    given.reset(token)
    assert next(generator) == ("own", "unset")
    assert own.get() == "not seen"
    generator.close()


def test_where_contexts_are_not_as_we_know_them_the_block_runs_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, storage: Storage
) -> None:
    def fail() -> None:
        raise RuntimeError("contexts are not laid out as expected")

    _reporting.forget_reports()
    monkeypatch.setattr(states, "ContextState", fail)
    with storage.use("A"):
        with asynchooks.detached():
            assert storage.get_store() == "A"
        assert [number for number in asynchooks.each([1, 2])] == [1, 2]  # noqa: C416 -- a loop
        assert asynchooks.detached(storage.get_store)() == "outside"
    (record,) = caplog.records
    assert "not laid out as expected" in record.getMessage()


def test_what_one_detached_call_makes_has_one_root(engine: None) -> None:
    async def connect() -> list[asyncio.Task[None]]:
        first = asyncio.create_task(asyncio.sleep(0))
        await asyncio.sleep(0)
        return [first, asyncio.create_task(asyncio.sleep(0))]

    async def main() -> None:
        tasks = await asynchooks.detached(connect)()
        lives = {info.async_id: info for info in asynchooks.resources(kind="Task")}
        first, second = (lives[asynchooks.async_id(task)] for task in tasks)
        me = lives[asynchooks.execution_async_id()]
        assert first.root == second.root == first.created_by == second.created_by
        assert first.root not in (me.root, me.async_id)
        await asyncio.gather(*tasks)

    asyncio.run(main())

"""Generators that open a scope: isolated at every way in and out, and nothing else touched."""

from __future__ import annotations

import asyncio
import gc
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks
from asynchooks import _reporting

if TYPE_CHECKING:
    import contextvars
    from collections.abc import AsyncIterator, Iterator

monitoring: Any = getattr(sys, "monitoring", None)

pytestmark = pytest.mark.skipif(monitoring is None, reason="Python 3.11 has no sys.monitoring")

Storage = asynchooks.AsyncLocalStorage[str]


@pytest.fixture
def storage() -> Storage:
    return asynchooks.AsyncLocalStorage(name="row", default="outside")


def our_tools() -> list[int]:
    return [number for number in range(6) if monitoring.get_tool(number) == "asynchooks"]


def test_it_begins_with_the_first_scope_in_a_generator(engine: None, storage: Storage) -> None:
    with storage.use("A"):
        assert our_tools() == []

    def rows() -> Iterator[int]:
        with storage.use("A"):
            yield 1

    assert list(rows()) == [1]
    assert our_tools() == [4]
    asynchooks.disable()
    assert our_tools() == []


def test_a_tool_id_that_is_taken_is_left_alone(engine: None, storage: Storage) -> None:
    def rows() -> Iterator[str]:
        with storage.use("A"):
            yield storage.get_store() or ""

    monitoring.use_tool_id(4, "somebody")
    try:
        generator: Any = rows()
        assert (next(generator), storage.get_store(), our_tools()) == ("A", "outside", [3])
        assert monitoring.get_tool(4) == "somebody"
        generator.close()
    finally:
        monitoring.free_tool_id(4)


def test_without_a_tool_id_it_steps_aside(
    engine: None, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    _reporting.forget_reports()

    def rows() -> Iterator[str]:
        with storage.use("A"):
            yield storage.get_store() or ""

    for number in (3, 4):
        monitoring.use_tool_id(number, "somebody")
    try:
        for _ in range(2):
            generator: Any = rows()
            assert (next(generator), storage.get_store()) == ("A", "A"), "as in plain Python"
            generator.close()
            assert storage.get_store() == "outside"
        (record,) = caplog.records
        assert "tool ids" in record.getMessage()
    finally:
        for number in (3, 4):
            monitoring.free_tool_id(number)


def test_nested_scopes_of_two_storages(engine: None, storage: Storage) -> None:
    other = Storage(default="outside")

    def rows() -> Iterator[tuple[str | None, str | None]]:
        with storage.use("A"), other.use("X"):
            yield storage.get_store(), other.get_store()
            with storage.use("B"):
                yield storage.get_store(), other.get_store()
            yield storage.get_store(), other.get_store()
        yield storage.get_store(), other.get_store()

    inside = []
    for row in rows():
        inside.append(row)
        assert (storage.get_store(), other.get_store()) == ("outside", "outside")
    assert inside == [("A", "X"), ("B", "X"), ("A", "X"), ("outside", "outside")]


def test_what_is_set_inside_stays_inside(engine: None, storage: Storage) -> None:
    def rows() -> Iterator[str | None]:
        with storage.use("A"):
            storage.enter_with("set")
            yield storage.get_store()
            yield storage.get_store()
            storage.enter_with("set again")
        yield storage.get_store()

    assert [(row, storage.get_store()) for row in rows()] == [
        ("set", "outside"),
        ("set", "outside"),
        ("outside", "outside"),
    ]


def test_it_sees_what_the_stepping_code_has_around_its_scope(
    engine: None, storage: Storage
) -> None:
    def rows() -> Iterator[str | None]:
        with storage.use("A"):
            yield storage.get_store()
        yield storage.get_store()

    generator: Any = rows()
    with storage.use("first"):
        assert next(generator) == "A"
    with storage.use("second"):
        assert next(generator) == "second"
        assert list(generator) == []
        assert storage.get_store() == "second"


def test_yield_from_and_throw(engine: None, storage: Storage) -> None:
    seen: list[Any] = []

    def inner() -> Iterator[str | None]:
        try:
            yield storage.get_store()
        except LookupError:
            seen.append(("caught", storage.get_store()))
            yield storage.get_store()
            seen.append(("resumed", storage.get_store()))
        yield storage.get_store()

    def outer() -> Any:
        with storage.use("A"):
            try:
                yield from inner()
            finally:
                seen.append(("closed", storage.get_store()))

    generator = outer()
    assert (next(generator), storage.get_store()) == ("A", "outside")
    assert (generator.throw(LookupError), storage.get_store()) == ("A", "outside")
    assert (next(generator), storage.get_store()) == ("A", "outside")
    generator.close()
    assert storage.get_store() == "outside"
    assert seen == [("caught", "A"), ("resumed", "A"), ("closed", "A")]


def test_collecting_one_that_stands_still(engine: None, storage: Storage) -> None:
    closed: list[str | None] = []

    def rows() -> Iterator[int]:
        with storage.use("A"):
            try:
                yield 1
            finally:
                closed.append(storage.get_store())

    cycle: list[Any] = [rows()]
    cycle.append(cycle)
    next(cycle[0])
    with storage.use("collector"):
        del cycle
        gc.collect()
        assert storage.get_store() == "collector"
    assert closed == ["A"]


def test_cancelling_in_an_await_inside(engine: None, storage: Storage) -> None:
    seen: list[Any] = []

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            seen.append(("cancelled", storage.get_store()))
            await asyncio.sleep(0)
            seen.append(("cleaned up", storage.get_store()))

    async def rows() -> AsyncIterator[int]:
        with storage.use("A"):
            yield 1
            await work()

    def consumed() -> None:
        seen.append(("consumer", storage.get_store()))

    async def consume() -> None:
        try:
            async for _ in rows():
                consumed()
        finally:
            consumed()

    async def main() -> None:
        task = asyncio.create_task(consume())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        # While it stands still, in the middle of cleaning up, its task has the outside.
        context: contextvars.Context = task.get_context()  # type: ignore[attr-defined] # 3.12
        assert context.run(storage.get_store) == "outside"
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == [
        ("consumer", "outside"),
        ("cancelled", "A"),
        ("cleaned up", "A"),
        ("consumer", "outside"),
    ]


def test_what_enters_for_its_caller_is_its_callers(engine: None, storage: Storage) -> None:
    @contextmanager
    def request(name: str) -> Iterator[None]:
        with storage.use(name):
            yield

    class Request:
        def __enter__(self) -> None:
            self.scope = storage.use("of a class")
            self.scope.__enter__()

        def __exit__(self, *exc_info: object) -> None:
            self.scope.__exit__(None, None, None)

    with request("A"):
        assert storage.get_store() == "A"
    with Request():
        assert storage.get_store() == "of a class"

    def rows() -> Iterator[str | None]:
        with request("A"):
            yield storage.get_store()
        with Request():
            yield storage.get_store()
        with ExitStack() as stack:
            stack.enter_context(request("B"))
            stack.enter_context(storage.use("C"))
            yield storage.get_store()
            stack.pop_all().close()
            yield storage.get_store()

    assert [(row, storage.get_store()) for row in rows()] == [
        ("A", "outside"),
        ("of a class", "outside"),
        ("C", "outside"),
        ("outside", "outside"),
    ]


def test_a_scope_that_outlives_its_generator_is_whoever_has_stepped_it_s(
    engine: None, storage: Storage
) -> None:
    stack = ExitStack()

    def rows() -> Iterator[str | None]:
        stack.enter_context(storage.use("A"))
        yield storage.get_store()

    generator: Any = rows()
    assert (next(generator), storage.get_store()) == ("A", "outside")
    assert list(generator) == []
    assert storage.get_store() == "A"
    stack.close()
    assert storage.get_store() == "outside"


def test_disabling_while_one_stands_still(engine: None, storage: Storage) -> None:
    def rows() -> Iterator[str | None]:
        with storage.use("A"):
            yield storage.get_store()
            yield storage.get_store()

    generator: Any = rows()
    assert next(generator) == "A"
    asynchooks.disable()
    assert next(generator) == "outside"
    assert list(generator) == []
    asynchooks.enable()
    assert [(row, storage.get_store()) for row in rows()] == [("A", "outside")] * 2

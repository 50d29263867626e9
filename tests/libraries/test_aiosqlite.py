"""aiosqlite: each query once, under the task that awaited it, though a thread runs it."""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
import threading
import traceback
from typing import TYPE_CHECKING, Any

import aiosqlite
import pytest

import asynchooks
from asynchooks import libraries
from asynchooks.tracing import StatusCode, current_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.libraries.conftest import Trace

SELECT = "SELECT name FROM lamp WHERE id = ?"
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")


async def fill(connection: aiosqlite.Connection) -> None:
    await connection.execute("CREATE TABLE lamp (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
    await connection.execute("INSERT INTO lamp VALUES (1, 'desk')")
    await connection.commit()


async def use_context_manager(connection: aiosqlite.Connection) -> None:
    async with connection.execute(SELECT, (1,)) as cursor:
        assert await cursor.fetchone() == ("desk",)


async def iterate(connection: aiosqlite.Connection) -> None:
    async with connection.execute(SELECT, (1,)) as cursor:
        assert [row async for row in cursor] == [("desk",)]


WAYS: dict[str, Callable[[aiosqlite.Connection], Awaitable[Any]]] = {
    "await": lambda c: c.execute(SELECT, (1,)),
    "async with": use_context_manager,
    "async for": iterate,
    "fetchall": lambda c: c.execute_fetchall(SELECT, (1,)),
    "insert": lambda c: c.execute_insert("INSERT INTO lamp (name) VALUES (?)", ("floor",)),
    "many": lambda c: c.executemany("INSERT INTO lamp (name) VALUES (?)", [("a",), ("b",)]),
    "script": lambda c: c.executescript("SELECT 1; SELECT 2;"),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_one_span(trace: Trace, way: str) -> None:
    async def main() -> None:
        async with aiosqlite.connect(":memory:") as connection:
            await fill(connection)
            with trace.request():
                await WAYS[way](connection)

    asyncio.run(main())
    (span,) = trace.query_spans()
    assert span.attributes["db.system.name"] == "sqlite"
    assert span.request is not None
    assert span.parent == span.request.span.context
    assert "desk" not in str(span.attributes)


def test_the_span_s_line_is_the_one_that_awaits(trace: Trace) -> None:
    async def handler(connection: aiosqlite.Connection) -> None:
        await connection.execute_fetchall("SELECT 1")

    async def main() -> None:
        async with aiosqlite.connect(":memory:") as connection:
            with trace.request():
                await handler(connection)

    asyncio.run(main())
    (span,) = trace.query_spans()
    assert span.call_site is not None
    assert span.call_site[0] is handler.__code__
    assert span.call_site[1] == handler.__code__.co_firstlineno + 1


def test_one_connection_between_many_requests(trace: Trace) -> None:
    async def handler(connection: aiosqlite.Connection, number: int) -> None:
        with trace.request(f"r{number}"):
            await connection.execute_fetchall(f"SELECT 1 AS r{number}")
            await asyncio.sleep(0)
            await connection.execute_fetchall(f"SELECT 1 AS r{number}")

    async def main() -> None:
        async with aiosqlite.connect(":memory:") as connection:
            await asyncio.gather(*(handler(connection, number) for number in range(50)))

    asyncio.run(main())
    found: dict[str, list[str]] = {}
    for span in trace.query_spans():
        assert span.request is not None
        found.setdefault(span.request.id, []).append(str(span.attributes["db.query.text"]))
    assert found == {f"r{number}": [f"SELECT ? AS r{number}"] * 2 for number in range(50)}


def test_a_request_that_opened_the_connection_does_not_stay_in_its_thread(trace: Trace) -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        before = {info.async_id for info in asynchooks.resources(kind="Thread")}
        with trace.request():
            variable.set("of the request")
            connection = await aiosqlite.connect(":memory:")
        after = asynchooks.resources(kind="Thread")
        (thread,) = (info for info in after if info.async_id not in before)
        assert (thread.created_by, thread.root) == (0, thread.async_id)
        variable.set("outside")
        await connection.create_function("look", 0, lambda: seen.append(variable.get()))
        await connection.execute("SELECT look()")
        await connection.close()
        return seen

    assert asyncio.run(main()) == ["outside"]
    assert trace.queries() == []


def test_a_function_that_sql_calls_belongs_to_the_request(trace: Trace) -> None:
    async def main() -> list[str]:
        seen: list[str] = []

        def look() -> int:
            request = current_request()
            seen.append(request.id if request is not None else "none")
            assert threading.current_thread() is not threading.main_thread()
            return 1

        async with aiosqlite.connect(":memory:") as connection:
            await connection.create_function("look", 0, look)
            with trace.request("r7"):
                await connection.execute_fetchall("SELECT look()")
        return seen

    assert asyncio.run(main()) == ["r7"]
    assert trace.queries() == ["SELECT look()"]


def test_a_failed_query_is_failed_and_its_exception_unchanged(trace: Trace) -> None:
    async def fail(connection: aiosqlite.Connection) -> None:
        await connection.execute("INSERT INTO lamp (name) VALUES ('desk')")

    async def main() -> list[str]:
        async with aiosqlite.connect(":memory:") as connection:
            await fill(connection)
            with trace.request(), pytest.raises(sqlite3.IntegrityError, match="UNIQUE") as caught:
                await fail(connection)
            return [frame.name for frame in traceback.extract_tb(caught.tb)]

    traced = asyncio.run(main())
    (span,) = trace.query_spans()
    assert span.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "sqlite3.IntegrityError"
    libraries.uninstall()
    assert asyncio.run(main()) == traced


def test_a_cancelled_query_is_ended(trace: Trace) -> None:
    may_run = threading.Event()

    async def main() -> None:
        async with aiosqlite.connect(":memory:") as connection:
            await connection.create_function("wait", 0, lambda: may_run.wait(60))
            with trace.request():
                task = asyncio.create_task(connection.execute_fetchall("SELECT wait()"))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            may_run.set()

    asyncio.run(main())
    (span,) = trace.query_spans()
    assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"


def test_a_connection_that_is_older_than_us(trace: Trace) -> None:
    async def main() -> None:
        libraries.uninstall()
        async with aiosqlite.connect(":memory:") as connection:
            libraries.install()
            with trace.request():
                await connection.execute_fetchall("SELECT 1")
            libraries.uninstall()
            with trace.request():
                await connection.execute_fetchall("SELECT 2")

    asyncio.run(main())
    assert trace.queries() == ["SELECT ?"]

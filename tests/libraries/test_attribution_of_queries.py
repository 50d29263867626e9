"""Queries that other tracers give to nobody, or to a request that is over: each belongs to its own.

Connections that outlive the request that opened them, with threads behind them, or greenlets.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import aiosqlite
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.libraries.conftest import Trace


def check(trace: Trace, expected: dict[str, str]) -> None:
    """Of each request, the one query, below its own span; and the line is of this file."""
    found = {}
    for span in trace.query_spans():
        assert span.request is not None
        assert span.context.trace_id == span.request.span.context.trace_id
        if span.name == "ROLLBACK":  # by the pool, in a task of its own, which is a span
            continue
        assert span.parent == span.request.span.context, span
        assert span.call_site is not None
        assert span.call_site[0].co_filename == __file__
        assert span.request.id not in found
        found[span.request.id] = span.attributes["db.query.text"]
    assert found == expected


def query(name: str) -> str:
    return f"SELECT name AS {name} FROM sqlite_master"


def test_the_shortcut_of_a_connection(trace: Trace) -> None:
    connection = sqlite3.connect(":memory:")
    for name in ("a", "b"):
        with trace.request(name):
            connection.execute(query(name)).fetchall()
    connection.close()
    check(trace, {"a": query("a"), "b": query("b")})


async def use_shortcut(connection: aiosqlite.Connection, name: str) -> None:
    await connection.execute(query(name))


async def use_cursor(connection: aiosqlite.Connection, name: str) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute(query(name))


@pytest.mark.parametrize("use", [use_shortcut, use_cursor])
@pytest.mark.parametrize("is_opened_by_a_request", [False, True])
def test_a_shared_connection_of_aiosqlite(
    trace: Trace,
    use: Callable[[aiosqlite.Connection, str], Awaitable[None]],
    is_opened_by_a_request: bool,
) -> None:
    async def main() -> None:
        if is_opened_by_a_request:
            with trace.request("opens"):
                connection = await aiosqlite.connect(":memory:")
        else:
            connection = await aiosqlite.connect(":memory:")
        for name in ("a", "b"):
            with trace.request(name):
                await use(connection, name)
        await use(connection, "nobody")
        await connection.close()

    asyncio.run(main())
    check(trace, {"a": query("a"), "b": query("b")})


class Pool:
    """An engine with one connection, which the first request opens."""

    def __init__(self, trace: Trace, url: str) -> None:
        self.trace = trace
        self.engine = create_async_engine(
            url, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0
        )
        self.opened = 0
        event.listen(self.engine.sync_engine, "connect", self._count)

    def _count(self, *args: object) -> None:
        self.opened += 1

    async def use(self, name: str, query: Callable[[str], str]) -> None:
        with self.trace.request(name):
            async with self.engine.connect() as connection:
                await connection.execute(text(query(name)))

    async def open(self) -> None:
        """Open it in a request, whose are what SQLAlchemy then asks the server about itself."""
        with self.trace.request("opens"):
            async with self.engine.connect():
                pass
        self.trace.spans.clear()

    async def close(self) -> None:
        await self.engine.dispose()
        assert self.opened == 1


async def share(pool: Pool, query: Callable[[str], str]) -> None:
    """Two requests in turn, and then six at once, use the connection."""
    await pool.open()
    await pool.use("a", query)
    await pool.use("b", query)
    await asyncio.gather(*(pool.use(name, query) for name in "cdefgh"))
    await pool.close()


def test_a_pooled_connection_of_aiosqlite_under_sqlalchemy(trace: Trace, tmp_path: Path) -> None:
    async def main() -> None:
        await share(Pool(trace, f"sqlite+aiosqlite:///{tmp_path}/shop.db"), query)

    asyncio.run(main())
    check(trace, {name: query(name) for name in "abcdefgh"})


def query_of_postgres(name: str) -> str:
    return f"SELECT datname AS {name} FROM pg_database"


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_a_pooled_connection_of_postgresql_under_sqlalchemy(
    trace: Trace, postgres: str, driver: str
) -> None:
    async def main() -> None:
        url = postgres.replace("postgresql:", f"postgresql+{driver}:")
        await share(Pool(trace, url), query_of_postgres)

    asyncio.run(main())
    check(trace, {name: query_of_postgres(name) for name in "abcdefgh"})


def test_threads_that_are_kept(trace: Trace, tmp_path: Path) -> None:
    """The first request has the pool start its thread, and is not what the second one's query
    belongs to."""

    def run(name: str) -> None:
        with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
            connection.execute(query(name)).fetchall()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for name in ("a", "b"):
            with trace.request(name):
                await loop.run_in_executor(threads, run, name)
        await loop.run_in_executor(threads, run, "nobody")

    with ThreadPoolExecutor(1) as threads:
        asyncio.run(main())
    check(trace, {"a": query("a"), "b": query("b")})

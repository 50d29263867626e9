"""asyncpg with a real PostgreSQL: each query once, under its request."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from asynchooks import libraries
from asynchooks.tracing import StatusCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.libraries.conftest import Trace

    Connection = asyncpg.Connection[asyncpg.Record]

pytestmark = pytest.mark.slow


async def iterate(connection: Connection) -> None:
    async with connection.transaction():
        found = [row[0] async for row in connection.cursor("SELECT generate_series(1, 60)")]
    assert found == list(range(1, 61))


async def prepare(connection: Connection) -> None:
    statement = await connection.prepare("SELECT $1::int")
    assert await statement.fetchval(7) == 7


async def step_cursor(connection: Connection) -> None:
    async with connection.transaction():
        cursor = await connection.cursor("SELECT generate_series(1, 3)")
        assert len(await cursor.fetch(2)) == 2


WAYS: dict[str, tuple[str, Callable[[Connection], Awaitable[Any]]]] = {
    "execute": ("SELECT ?", lambda c: c.execute("SELECT 1")),
    "execute with arguments": ("SELECT $1::int", lambda c: c.execute("SELECT $1::int", 7)),
    "fetch": ("SELECT $1::int", lambda c: c.fetch("SELECT $1::int", 7)),
    "fetchrow": ("SELECT $1::int", lambda c: c.fetchrow("SELECT $1::int", 7)),
    "fetchval": ("SELECT $1::int", lambda c: c.fetchval("SELECT $1::int", 7)),
    "executemany": ("SELECT $1::int", lambda c: c.executemany("SELECT $1::int", [(7,), (8,)])),
    "prepared": ("SELECT $1::int", prepare),
    "step by step": ("SELECT generate_series(?, ?)", step_cursor),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_one_span(trace: Trace, postgres: str, way: str) -> None:
    text, run = WAYS[way]

    async def main() -> None:
        connection = await asyncpg.connect(postgres)
        with trace.request():
            await run(connection)
        await connection.close()

    asyncio.run(main())
    (span,) = (s for s in trace.query_spans() if s.attributes["db.query.text"] == text)
    assert span.request is not None
    assert span.parent == span.request.span.context
    assert span.attributes["db.system.name"] == "postgresql"
    assert span.attributes["db.namespace"] == "postgres"
    assert span.call_site is not None
    assert span.call_site[0].co_filename == __file__
    assert "7" not in str(span.attributes["db.query.text"])


def test_each_batch_of_a_cursor_is_a_span(trace: Trace, postgres: str) -> None:
    async def main() -> None:
        connection = await asyncpg.connect(postgres)
        with trace.request():
            await iterate(connection)
        await connection.close()

    asyncio.run(main())
    batches = [text for text in trace.queries() if text.startswith("SELECT generate")]
    assert len(batches) == 2  # asyncpg asks for 50 rows at a time


def test_outside_of_a_request_nothing_is_recorded(trace: Trace, postgres: str) -> None:
    async def main() -> None:
        connection = await asyncpg.connect(postgres)
        await connection.fetchval("SELECT 1")
        await connection.close()

    asyncio.run(main())
    assert trace.spans == []


def test_a_pool_between_many_requests(trace: Trace, postgres: str) -> None:
    async def handler(pool: asyncpg.Pool[asyncpg.Record], number: int) -> None:
        with trace.request(f"r{number}"):
            for _ in range(2):
                assert await pool.fetchval(f"SELECT $1::int AS r{number}", number) == number

    async def main() -> None:
        async with asyncpg.create_pool(postgres, min_size=1, max_size=3) as pool:
            await asyncio.gather(*(handler(pool, number) for number in range(50)))

    asyncio.run(main())
    expected = {f"r{number}": [f"SELECT $1::int AS r{number}"] * 2 for number in range(50)}
    assert trace.by_request("SELECT $1") == expected


def test_waiting_for_the_pool_is_a_span(trace: Trace, postgres: str) -> None:
    async def main() -> None:
        async with asyncpg.create_pool(postgres, min_size=1, max_size=1) as pool:
            connection = await pool.acquire()
            with trace.request():
                waiting = asyncio.create_task(pool.fetchval("SELECT 1"))
            await asyncio.sleep(0.01)  # what is looked for is a wait
            await pool.release(connection)
            assert await waiting == 1

    asyncio.run(main())
    span = trace.named("wait for a pooled connection")
    assert span.end_time is not None
    assert span.end_time - span.start_time >= 5_000_000


def test_a_failed_query_is_failed_and_its_exception_unchanged(trace: Trace, postgres: str) -> None:
    async def main() -> list[str]:
        connection = await asyncpg.connect(postgres)
        with trace.request(), pytest.raises(asyncpg.UndefinedTableError) as caught:
            await connection.fetch("SELECT * FROM nowhere")
        await connection.close()
        return [frame.name for frame in traceback.extract_tb(caught.tb)]

    traced = asyncio.run(main())
    (span,) = trace.query_spans()
    assert span.status_code is StatusCode.ERROR
    assert str(span.attributes["error.type"]).endswith("UndefinedTableError")
    assert span.attributes["db.response.status_code"] == "42P01"
    libraries.uninstall()
    assert asyncio.run(main()) == traced

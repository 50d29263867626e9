"""psycopg 3 with a real PostgreSQL, sync and async: each query once, under its request."""

from __future__ import annotations

import asyncio
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import psycopg_pool
import pytest
from psycopg import sql
from tests.libraries.conftest import line_of

from asynchooks import libraries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.libraries.conftest import Trace

pytestmark = pytest.mark.slow

TABLE = "CREATE TEMP TABLE lamp (id serial PRIMARY KEY, name text UNIQUE)"
SELECT = "SELECT id FROM lamp WHERE name = %s"
INSERT = "INSERT INTO lamp (name) VALUES (%s)"
SERIES = "SELECT generate_series(%s::int, %s::int)"

Connection = psycopg.Connection[tuple[Any, ...]]
AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]


def stream(connection: Connection) -> None:
    assert len(list(connection.cursor().stream(SERIES, (1, 3)))) == 3


def copy(connection: Connection) -> None:
    with connection.cursor().copy("COPY lamp (name) FROM STDIN") as target:
        target.write_row(("desk",))


def declare(connection: Connection) -> None:
    with connection.cursor("lamps") as cursor:
        cursor.execute(SELECT, ("desk",))


WAYS: dict[str, tuple[str, Callable[[Connection], Any]]] = {
    "connection": (SELECT, lambda c: c.execute(SELECT, ("desk",))),
    "cursor": (SELECT, lambda c: c.cursor().execute(SELECT, ("desk",))),
    "client cursor": (SELECT, lambda c: psycopg.ClientCursor(c).execute(SELECT, ("desk",))),
    "many": (INSERT, lambda c: c.cursor().executemany(INSERT, [("desk",), ("floor",)])),
    "bytes": (SELECT, lambda c: c.execute(SELECT.encode(), ("desk",))),
    "composed": (
        'SELECT %s FROM "lamp"',
        lambda c: c.execute(
            sql.SQL("SELECT {} FROM {}").format(sql.Literal("desk"), sql.Identifier("lamp"))
        ),
    ),
    "stream": (SERIES, stream),
    "copy": ("COPY lamp (name) FROM STDIN", copy),
    "server cursor": (SELECT, declare),
}


async def stream_async(connection: AsyncConnection) -> None:
    assert len([row async for row in connection.cursor().stream(SERIES, (1, 3))]) == 3


async def copy_async(connection: AsyncConnection) -> None:
    async with connection.cursor().copy("COPY lamp (name) FROM STDIN") as target:
        await target.write_row(("desk",))


async def declare_async(connection: AsyncConnection) -> None:
    async with connection.cursor("lamps") as cursor:
        await cursor.execute(SELECT, ("desk",))


ASYNC_WAYS: dict[str, tuple[str, Callable[[AsyncConnection], Awaitable[Any]]]] = {
    "connection": (SELECT, lambda c: c.execute(SELECT, ("desk",))),
    "cursor": (SELECT, lambda c: c.cursor().execute(SELECT, ("desk",))),
    "many": (INSERT, lambda c: c.cursor().executemany(INSERT, [("desk",), ("floor",)])),
    "stream": (SERIES, stream_async),
    "copy": ("COPY lamp (name) FROM STDIN", copy_async),
    "server cursor": (SELECT, declare_async),
}


def check(trace: Trace, text: str) -> None:
    span = trace.query()
    assert span.attributes["db.query.text"] == text
    assert span.attributes["db.system.name"] == "postgresql"
    assert span.attributes["db.namespace"] == "postgres"
    assert span.attributes["server.address"]
    assert isinstance(span.attributes["server.port"], int)
    assert span.attributes.get("db.operation.batch.size") == (2 if text == INSERT else None)
    assert span.call_site is not None
    assert span.call_site[0].co_filename == __file__
    assert "desk" not in str(span.attributes)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_one_span(trace: Trace, postgres: str, way: str) -> None:
    text, run = WAYS[way]
    with psycopg.connect(postgres) as connection:
        connection.execute(TABLE)
        with trace.request():
            run(connection)
    check(trace, text)


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_every_way_of_asyncio_is_one_span(trace: Trace, postgres: str, way: str) -> None:
    text, run = ASYNC_WAYS[way]

    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(postgres) as connection:
            await connection.execute(TABLE)
            with trace.request():
                await run(connection)

    asyncio.run(main())
    check(trace, text)


def test_the_span_s_line_is_the_user_s(trace: Trace, postgres: str) -> None:
    def handle(connection: Connection) -> None:
        connection.execute("SELECT")

    async def handle_async(connection: AsyncConnection) -> None:
        await connection.execute("SELECT")

    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(postgres) as connection:
            with trace.request():
                await handle_async(connection)

    with psycopg.connect(postgres) as connection, trace.request():
        handle(connection)
    asyncio.run(main())
    of_sync, of_async = trace.query_spans()
    assert line_of(of_sync, handle.__code__) == 1
    assert line_of(of_async, handle_async.__code__) == 1


def test_each_batch_from_the_server_is_a_span(trace: Trace, postgres: str) -> None:
    with psycopg.connect(postgres) as connection, trace.request():
        cursor = connection.cursor("numbers")
        cursor.itersize = 50
        assert len(list(cursor.execute(SERIES, (1, 60)))) == 60
        cursor.close()
    assert trace.queries() == [SERIES, *['FETCH FORWARD ? FROM "numbers"'] * 2]


def test_a_pipeline_s_end_is_a_span(trace: Trace, postgres: str) -> None:
    with psycopg.connect(postgres) as connection, trace.request():
        connection.execute("SELECT")
        with connection.pipeline():
            cursor = connection.execute(SERIES, (1, 3))
        assert len(cursor.fetchall()) == 3
    assert [span.name for span in trace.query_spans()] == ["SELECT", "SELECT", "SYNC"]


def test_what_fails_in_a_pipeline_fails_its_end(trace: Trace, postgres: str) -> None:
    connection = psycopg.connect(postgres)
    with (
        trace.request(),
        pytest.raises(psycopg.errors.UndefinedTable),
        connection.pipeline(),
    ):
        connection.execute("SELECT * FROM nowhere")
    connection.close()
    *_, sync = trace.query_spans()
    assert sync.name == "SYNC"
    assert sync.attributes["db.response.status_code"] == "42P01"


@pytest.mark.parametrize("way", ["execute", "executemany", "copy"])
def test_a_failed_query_is_failed_and_its_exception_unchanged(
    trace: Trace, postgres: str, way: str
) -> None:
    def fail(connection: Connection) -> None:
        if way == "execute":
            connection.execute("SELECT * FROM nowhere")
        elif way == "executemany":
            connection.cursor().executemany("INSERT INTO nowhere VALUES (%s)", [(1,), (2,)])
        else:
            with connection.cursor().copy("COPY nowhere FROM STDIN"):
                pass

    def run() -> list[str]:
        connection = psycopg.connect(postgres)
        with trace.request(), pytest.raises(psycopg.errors.UndefinedTable) as caught:
            fail(connection)
        connection.close()
        return [frame.name for frame in traceback.extract_tb(caught.tb)]

    traced = run()
    span = trace.failed_query()
    assert span.attributes["error.type"] == "psycopg.errors.UndefinedTable"
    assert span.attributes["db.response.status_code"] == "42P01"
    libraries.uninstall()
    assert run() == traced


def test_a_failed_query_of_asyncio(trace: Trace, postgres: str) -> None:
    async def main() -> list[str]:
        connection = await psycopg.AsyncConnection.connect(postgres)
        with trace.request(), pytest.raises(psycopg.errors.UndefinedTable) as caught:
            await connection.execute("SELECT * FROM nowhere")
        await connection.close()
        return [frame.name for frame in traceback.extract_tb(caught.tb)]

    traced = asyncio.run(main())
    assert trace.failed_query().attributes["db.response.status_code"] == "42P01"
    libraries.uninstall()
    assert asyncio.run(main()) == traced


def test_a_closed_connection_fails_as_without_us(trace: Trace, postgres: str) -> None:
    connection = psycopg.connect(postgres)
    connection.close()
    with trace.request(), pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT")


def test_outside_of_a_request_nothing_is_recorded(trace: Trace, postgres: str) -> None:
    with psycopg.connect(postgres) as connection:
        connection.execute("SELECT")
        with connection.pipeline():
            connection.execute("SELECT")
    assert trace.spans == []


EXPECTED = {f"r{number}": [f"SELECT %s::int AS r{number}"] * 2 for number in range(50)}


def test_a_pool_between_many_requests(trace: Trace, postgres: str) -> None:
    async def handler(pool: psycopg_pool.AsyncConnectionPool, number: int) -> None:
        with trace.request(f"r{number}"):
            for _ in range(2):
                async with pool.connection() as connection:
                    await connection.execute(f"SELECT %s::int AS r{number}", (number,))

    async def main() -> None:
        pool = psycopg_pool.AsyncConnectionPool(postgres, min_size=1, max_size=3, open=False)
        async with pool:
            await asyncio.gather(*(handler(pool, number) for number in range(50)))

    asyncio.run(main())
    assert trace.by_request("SELECT") == EXPECTED


def test_a_pool_between_many_threads(trace: Trace, postgres: str) -> None:
    def handler(number: int) -> None:
        with trace.request(f"r{number}"):
            for _ in range(2):
                with pool.connection() as connection:
                    connection.execute(f"SELECT %s::int AS r{number}", (number,))

    with (
        psycopg_pool.ConnectionPool(postgres, min_size=1, max_size=3, open=True) as pool,
        ThreadPoolExecutor(10) as threads,
    ):
        list(threads.map(handler, range(50)))
    assert trace.by_request("SELECT") == EXPECTED


def test_waiting_for_the_pool_is_a_span(trace: Trace, postgres: str) -> None:
    async def main() -> None:
        pool = psycopg_pool.AsyncConnectionPool(postgres, min_size=1, max_size=1, open=False)
        async with pool:
            connection = await pool.getconn()
            with trace.request():
                waiting = asyncio.create_task(pool.getconn())
            await asyncio.sleep(0.01)  # what is looked for is a wait
            await pool.putconn(connection)
            await pool.putconn(await waiting)

    asyncio.run(main())
    span = trace.named("wait for a pooled connection")
    assert span.end_time is not None
    assert span.end_time - span.start_time >= 5_000_000


def test_a_pool_that_gives_none_in_time_is_failed(trace: Trace, postgres: str) -> None:
    with psycopg_pool.ConnectionPool(postgres, min_size=1, max_size=1, open=True) as pool:
        connection = pool.getconn()
        with trace.request(), pytest.raises(psycopg_pool.PoolTimeout):
            pool.getconn(timeout=0.01)
        pool.putconn(connection)
    span = trace.named("wait for a pooled connection")
    assert span.attributes["error.type"] == "psycopg_pool.PoolTimeout"

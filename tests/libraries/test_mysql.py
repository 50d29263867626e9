"""PyMySQL, aiomysql and asyncmy over MySQL's protocol: each query once, under its request.

The server is not MySQL itself, which no wheel carries: it speaks its protocol and understands its
SQL, but keeps no tables (mysql_server.py).
"""

from __future__ import annotations

import asyncio
import traceback
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import aiomysql  # type: ignore[import-untyped]
import asyncmy
import pymysql
import pytest
from tests.libraries.conftest import line_of

from asynchooks import libraries

if TYPE_CHECKING:
    from types import ModuleType

    from tests.libraries.conftest import Trace

    from asynchooks.tracing import Span

pytestmark = pytest.mark.slow

SELECT = "SELECT name FROM lamp WHERE id = %s"
INSERT = "INSERT INTO lamp (name) VALUES (%s)"
UPDATE = "UPDATE lamp SET name = %s"

ASYNC = pytest.mark.parametrize("driver", [aiomysql, asyncmy], ids=lambda driver: driver.__name__)
WAYS = pytest.mark.parametrize(
    ("way", "text", "arguments"),
    [
        ("execute", SELECT, (7,)),
        ("execute", SELECT.replace("%s", "%(id)s"), {"id": 7}),
        ("executemany", INSERT, [("desk",), ("floor",)]),
        ("executemany", UPDATE, [("desk",), ("floor",)]),
        ("callproc", "light", ()),
    ],
)


def options(driver: ModuleType, port: int) -> dict[str, Any]:
    database = "db" if driver is aiomysql else "database"
    return {"host": "127.0.0.1", "port": port, "user": "me", database: "shop"}


def check(span: Span, way: str, text: str, port: int) -> None:
    assert span.attributes["db.query.text"] == ("CALL light" if way == "callproc" else text)
    assert span.attributes["db.system.name"] == "mysql"
    assert span.attributes["db.namespace"] == "shop"
    assert span.attributes["server.address"] == "127.0.0.1"
    assert span.attributes["server.port"] == port
    assert span.attributes.get("db.operation.batch.size") == (2 if way == "executemany" else None)
    assert span.call_site is not None
    assert span.call_site[0].co_filename == __file__
    assert "desk" not in str(span.attributes)


@WAYS
def test_every_way_is_one_span(
    trace: Trace, mysql_port: int, way: str, text: str, arguments: Any
) -> None:
    connection = pymysql.connect(**options(pymysql, mysql_port))
    with trace.request():
        getattr(connection.cursor(), way)(text, arguments)
    connection.close()
    check(trace.query(), way, text, mysql_port)


@ASYNC
@WAYS
def test_every_way_of_asyncio_is_one_span(
    trace: Trace, mysql_port: int, driver: ModuleType, way: str, text: str, arguments: Any
) -> None:
    async def main() -> None:
        connection = await driver.connect(**options(driver, mysql_port))
        async with connection.cursor() as cursor:
            with trace.request():
                await getattr(cursor, way)(text, arguments)
        connection.close()

    asyncio.run(main())
    check(trace.query(), way, text, mysql_port)


def test_the_span_s_line_is_the_user_s(trace: Trace, mysql_port: int) -> None:
    def handle(cursor: Any) -> None:
        cursor.execute("SELECT")

    connection = pymysql.connect(**options(pymysql, mysql_port))
    with trace.request():
        handle(connection.cursor())
    connection.close()
    assert line_of(trace.query(), handle.__code__) == 1


@ASYNC
def test_the_span_s_line_is_the_one_that_awaits(
    trace: Trace, mysql_port: int, driver: ModuleType
) -> None:
    async def handle(cursor: Any) -> None:
        await cursor.execute("SELECT")

    async def main() -> None:
        connection = await driver.connect(**options(driver, mysql_port))
        async with connection.cursor() as cursor:
            with trace.request():
                await handle(cursor)
        connection.close()

    asyncio.run(main())
    assert line_of(trace.query(), handle.__code__) == 1


def test_a_failed_query_is_failed_and_its_exception_unchanged(
    trace: Trace, mysql_port: int
) -> None:
    def run() -> list[str]:
        connection = pymysql.connect(**options(pymysql, mysql_port))
        with trace.request(), pytest.raises(pymysql.err.ProgrammingError) as caught:
            connection.cursor().execute("SELECT nonsense FROM lamp")
        connection.close()
        return [frame.name for frame in traceback.extract_tb(caught.tb)]

    traced = run()
    span = trace.failed_query()
    assert span.attributes["error.type"] == "pymysql.err.ProgrammingError"
    assert span.attributes["db.response.status_code"] == "1064"
    libraries.uninstall()
    assert run() == traced


@ASYNC
def test_a_failed_query_of_asyncio(trace: Trace, mysql_port: int, driver: ModuleType) -> None:
    async def main() -> list[str]:
        connection = await driver.connect(**options(driver, mysql_port))
        async with connection.cursor() as cursor:
            with trace.request(), pytest.raises(Exception, match="SQL syntax") as caught:
                await cursor.execute("SELECT nonsense FROM lamp")
        connection.close()
        return [frame.name for frame in traceback.extract_tb(caught.tb)]

    traced = asyncio.run(main())
    assert trace.failed_query().attributes["db.response.status_code"] == "1064"
    libraries.uninstall()
    assert asyncio.run(main()) == traced


def test_outside_of_a_request_nothing_is_recorded(trace: Trace, mysql_port: int) -> None:
    connection = pymysql.connect(**options(pymysql, mysql_port))
    connection.cursor().execute("SELECT")
    connection.close()
    assert trace.spans == []


EXPECTED = {f"r{number}": [f"SELECT name AS r{number} FROM lamp"] * 2 for number in range(50)}


def test_connections_between_many_threads(trace: Trace, mysql_port: int) -> None:
    def handler(number: int) -> None:
        with trace.request(f"r{number}"):
            for _ in range(2):
                connection = free.get()
                connection.cursor().execute(f"SELECT name AS r{number} FROM lamp")
                free.put(connection)

    free: SimpleQueue[Any] = SimpleQueue()
    for _ in range(3):
        free.put(pymysql.connect(**options(pymysql, mysql_port)))
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(handler, range(50)))
    for _ in range(3):
        free.get().close()
    assert trace.by_request("SELECT") == EXPECTED


@ASYNC
def test_a_pool_between_many_requests(trace: Trace, mysql_port: int, driver: ModuleType) -> None:
    async def handler(pool: Any, number: int) -> None:
        with trace.request(f"r{number}"):
            for _ in range(2):
                async with pool.acquire() as connection, connection.cursor() as cursor:
                    await cursor.execute(f"SELECT name AS r{number} FROM lamp")

    async def main() -> None:
        pool = await driver.create_pool(minsize=1, maxsize=3, **options(driver, mysql_port))
        await asyncio.gather(*(handler(pool, number) for number in range(50)))
        pool.close()
        await pool.wait_closed()

    asyncio.run(main())
    assert trace.by_request("SELECT") == EXPECTED


@ASYNC
def test_waiting_for_the_pool_is_a_span(trace: Trace, mysql_port: int, driver: ModuleType) -> None:
    async def take(pool: Any) -> None:
        async with pool.acquire():
            pass

    async def main() -> None:
        pool = await driver.create_pool(minsize=1, maxsize=1, **options(driver, mysql_port))
        async with pool.acquire():
            with trace.request():
                waiting = asyncio.create_task(take(pool))
            await asyncio.sleep(0.01)  # what is looked for is a wait
        await waiting
        pool.close()
        await pool.wait_closed()

    asyncio.run(main())
    span = trace.named("wait for a pooled connection")
    assert span.end_time is not None
    assert span.end_time - span.start_time >= 5_000_000

"""The values of query parameters: recorded of every database where that is asked for, else not."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any

import aiomysql  # type: ignore[import-untyped]
import aiosqlite
import asyncmy
import asyncpg
import psycopg
import psycopg2
import pymysql
import pytest
import redis.asyncio
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from asynchooks import libraries
from asynchooks.libraries import parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import ModuleType

    from tests.libraries.conftest import Trace

    from asynchooks.tracing import Span

PREFIX = "db.query.parameter."


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment asks for them, before libraries are traced."""
    monkeypatch.setattr(parameters, "captures_query_parameters", lambda: True)


def recorded(span: Span) -> dict[str, Any]:
    return {
        key.removeprefix(PREFIX): value
        for key, value in span.attributes.items()
        if key.startswith(PREFIX)
    }


def of_query(trace: Trace, run: Callable[[], Any]) -> dict[str, Any]:
    """What is recorded of the one query that `run`, or the coroutine that it returns, makes."""
    trace.spans.clear()
    with trace.request():
        result = run()
        if asyncio.iscoroutine(result):
            asyncio.run(result)
    (span,) = trace.query_spans()
    return recorded(span)


@pytest.fixture
def connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE lamp (id INTEGER, name TEXT)")
    return connection


@pytest.mark.parametrize(
    ("query", "given", "expected"),
    [
        ("SELECT ?, ?", ("ada", 7), {"0": "ada", "1": "7"}),
        ("SELECT ?", [None], {"0": "None"}),
        ("SELECT :name", {"name": "ada"}, {"name": "ada"}),
        ("SELECT ?", (b"\x00\xff",), {"0": "b'\\x00\\xff'"}),
        ("SELECT ?", ("x" * 1000,), {"0": "x" * 256}),
        ("SELECT ?", (b"x" * 1000,), {"0": "b'" + "x" * 254}),
    ],
)
def test_of_sqlite3(
    trace: Trace, connection: sqlite3.Connection, query: str, given: Any, expected: dict[str, str]
) -> None:
    assert of_query(trace, lambda: connection.execute(query, given)) == expected
    assert of_query(trace, lambda: connection.cursor().execute(query, given)) == expected
    connection.close()


def test_of_a_query_without_any(trace: Trace, connection: sqlite3.Connection) -> None:
    assert of_query(trace, lambda: connection.execute("SELECT 1")) == {}
    assert of_query(trace, lambda: connection.executescript("SELECT 1")) == {}
    connection.close()


def test_of_many_sets_at_once_none(trace: Trace, connection: sqlite3.Connection) -> None:
    insert = "INSERT INTO lamp (name) VALUES (?)"
    assert of_query(trace, lambda: connection.executemany(insert, [("a",), ("b",)])) == {}
    connection.close()


def test_of_very_many_the_first(trace: Trace, connection: sqlite3.Connection) -> None:
    query = f"SELECT {', '.join('?' * 100)}"
    found = of_query(trace, lambda: connection.execute(query, tuple(range(100))))
    assert list(found) == [str(number) for number in range(64)]
    connection.close()


def test_of_a_query_that_fails(trace: Trace, connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError):
        of_query(trace, lambda: connection.execute("SELECT * FROM nothing WHERE id = ?", (7,)))
    assert recorded(trace.failed_query()) == {"0": "7"}
    connection.close()


def test_a_value_whose_text_fails_is_survived(
    trace: Trace, connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(str):
        __slots__ = ()

        def __str__(self) -> str:
            raise RuntimeError("no text")

        def __getitem__(self, key: Any) -> Any:
            return self

    assert of_query(trace, lambda: connection.execute("SELECT ?", (Odd("a"),))) == {}
    connection.close()
    assert "could not record" in caplog.text
    caplog.clear()  # which the fixture would hold against us


def test_unless_that_is_asked_for_there_are_none(
    trace: Trace, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries.uninstall()
    monkeypatch.undo()
    libraries.install()
    assert of_query(trace, lambda: connection.execute("SELECT ?", ("ada",))) == {}
    connection.close()


def test_begin_is_as_it_is_unless_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin() -> None:
        """Begin."""

    assert parameters.capturing(begin, parameters.second_argument) is not begin
    monkeypatch.undo()
    assert parameters.capturing(begin, parameters.second_argument) is begin


def test_of_aiosqlite(trace: Trace) -> None:
    async def run(way: str, *args: Any) -> None:
        async with aiosqlite.connect(":memory:") as connection:
            await connection.execute("CREATE TABLE lamp (name TEXT)")
            trace.spans.clear()
            await getattr(connection, way)(*args)

    assert of_query(trace, lambda: run("execute", "SELECT ?", ("ada",))) == {"0": "ada"}
    assert of_query(trace, lambda: run("execute_fetchall", "SELECT :a", {"a": 1})) == {"a": "1"}
    assert of_query(trace, lambda: run("execute", "SELECT 1")) == {}
    assert (
        of_query(trace, lambda: run("executemany", "INSERT INTO lamp VALUES (?)", [("a",), ("b",)]))
        == {}
    )


def test_of_sqlalchemy(trace: Trace) -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.connect() as connection:
        statement = text("SELECT :name")
        assert of_query(trace, lambda: connection.execute(statement, {"name": "ada"})) == {
            "0": "ada"
        }
        connection.execute(text("CREATE TABLE lamp (name TEXT)"))
        insert = text("INSERT INTO lamp VALUES (:name)")
        many = [{"name": "a"}, {"name": "b"}]
        assert of_query(trace, lambda: connection.execute(insert, many)) == {}
    engine.dispose()


def test_of_sqlalchemy_s_asyncio(trace: Trace) -> None:
    async def run() -> None:
        engine = create_async_engine("sqlite+aiosqlite://")
        async with engine.connect() as connection:
            trace.spans.clear()  # of making the connection
            await connection.execute(text("SELECT :name"), {"name": "ada"})
            spans = list(trace.spans)
        trace.spans[:] = spans
        await engine.dispose()

    assert of_query(trace, run) == {"0": "ada"}


@pytest.mark.slow
def test_of_asyncpg(trace: Trace, postgres: str) -> None:
    async def run(use: Callable[[Any], Coroutine[Any, Any, Any]]) -> None:
        connection = await asyncpg.connect(postgres)
        trace.spans.clear()
        await use(connection)
        spans = list(trace.spans)
        await connection.close()
        trace.spans[:] = spans

    async def prepared(connection: Any) -> None:
        statement = await connection.prepare("SELECT $1::int")
        await statement.fetchval(7)

    async def in_transaction(connection: Any) -> None:
        transaction = connection.transaction()
        await transaction.start()
        trace.spans.clear()
        await (await connection.cursor("SELECT $1::int", 7)).fetch(1)
        spans = list(trace.spans)
        await transaction.rollback()
        trace.spans[:] = spans[:1]

    for way in ("execute", "fetch", "fetchrow", "fetchval"):
        found = of_query(trace, lambda way=way: run(lambda c: getattr(c, way)("SELECT $1::int", 7)))  # type: ignore[misc] # its default is the way
        assert found == {"0": "7"}, way
    assert of_query(trace, lambda: run(prepared)) == {"0": "7"}
    assert of_query(trace, lambda: run(in_transaction)) == {"0": "7"}
    many = run(lambda c: c.executemany("SELECT $1::int", [(7,), (8,)]))
    assert of_query(trace, lambda: many) == {}


@pytest.mark.slow
def test_of_psycopg(trace: Trace, postgres: str) -> None:
    with psycopg.connect(postgres, autocommit=True) as connection:
        query = "SELECT %s::text"
        assert of_query(trace, lambda: connection.execute(query, ("ada",))) == {"0": "ada"}
        assert of_query(trace, lambda: connection.execute(query, params=["ada"])) == {"0": "ada"}
        named = "SELECT %(name)s::text"
        assert of_query(trace, lambda: connection.execute(named, {"name": "ada"})) == {
            "name": "ada"
        }
        stream = connection.cursor().stream
        assert of_query(trace, lambda: list(stream(query, ("ada",)))) == {"0": "ada"}
        many = connection.cursor().executemany
        assert of_query(trace, lambda: many(query, [("a",), ("b",)])) == {}


@pytest.mark.slow
def test_of_psycopg2(trace: Trace, postgres: str) -> None:
    connection = psycopg2.connect(postgres)
    connection.autocommit = True
    cursor = connection.cursor()
    assert of_query(trace, lambda: cursor.execute("SELECT %s", ("ada",))) == {"0": "ada"}
    assert of_query(trace, lambda: cursor.execute("SELECT %s", vars=["ada"])) == {"0": "ada"}
    assert of_query(trace, lambda: cursor.executemany("SELECT %s", [("a",), ("b",)])) == {}
    connection.close()


@pytest.mark.slow
def test_of_pymysql(trace: Trace, mysql_port: int) -> None:
    connection = pymysql.connect(host="127.0.0.1", port=mysql_port, user="me", database="shop")
    cursor = connection.cursor()
    query = "SELECT name FROM lamp WHERE id = %s"
    assert of_query(trace, lambda: cursor.execute(query, (7,))) == {"0": "7"}
    assert of_query(trace, lambda: cursor.execute(query, args=[7])) == {"0": "7"}
    assert of_query(trace, lambda: cursor.executemany(query, [(7,), (8,)])) == {}
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("driver", [aiomysql, asyncmy], ids=lambda driver: driver.__name__)
def test_of_asynchronous_mysql(trace: Trace, mysql_port: int, driver: ModuleType) -> None:
    async def run() -> None:
        database = "db" if driver is aiomysql else "database"
        connection = await driver.connect(
            host="127.0.0.1", port=mysql_port, user="me", **{database: "shop"}
        )
        async with connection.cursor() as cursor:
            trace.spans.clear()
            await cursor.execute("SELECT name FROM lamp WHERE id = %s", (7,))
        connection.close()

    assert of_query(trace, run) == {"0": "7"}


@pytest.mark.slow
def test_of_redis(trace: Trace, redis_port: int) -> None:
    client: Any = redis.Redis(host="127.0.0.1", port=redis_port, db=1)
    assert of_query(trace, lambda: client.set("lamp", "desk")) == {"0": "lamp", "1": "desk"}
    assert of_query(trace, lambda: client.rpush("list", *range(100))).keys() == {
        str(number) for number in range(16)
    }
    assert of_query(trace, lambda: client.config_get("requirepass")) == {}
    assert of_query(trace, lambda: client.pipeline().set("a", "b").get("a").execute()) == {}
    client.close()

    async def run() -> None:
        async with redis.asyncio.Redis(host="127.0.0.1", port=redis_port, db=1) as client:
            await client.set("lamp", "desk")

    assert of_query(trace, run) == {"0": "lamp", "1": "desk"}

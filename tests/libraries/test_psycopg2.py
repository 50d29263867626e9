"""psycopg2 with a real PostgreSQL: each query once, under its request."""

from __future__ import annotations

import io
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.extras
import pytest
from psycopg2 import sql
from tests.libraries.conftest import line_of

from asynchooks import libraries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.libraries.conftest import Trace

    Connection = psycopg2.extensions.connection

pytestmark = pytest.mark.slow

TABLE = "CREATE TEMP TABLE lamp (id serial PRIMARY KEY, name text UNIQUE)"
SELECT = "SELECT id FROM lamp WHERE name = %s"
INSERT = "INSERT INTO lamp (name) VALUES (%s)"


@pytest.fixture
def connection(trace: Trace, postgres: str) -> Iterator[Connection]:
    connection = psycopg2.connect(postgres)
    connection.cursor().execute(TABLE)
    yield connection
    connection.close()


def use_cursor_factory(connection: Connection) -> None:
    cursor = connection.cursor(cursor_factory=psycopg2.extras.DictCursor)
    cursor.execute(SELECT, ("desk",))  # type: ignore[no-untyped-call]


WAYS: dict[str, tuple[str, Callable[[Connection], Any]]] = {
    "cursor": (SELECT, lambda c: c.cursor().execute(SELECT, ("desk",))),
    "cursor factory": (SELECT, use_cursor_factory),
    "named cursor": (SELECT, lambda c: c.cursor("lamps").execute(SELECT, ("desk",))),
    "many": (INSERT, lambda c: c.cursor().executemany(INSERT, [("desk",), ("floor",)])),
    "bytes": (SELECT, lambda c: c.cursor().execute(SELECT.encode(), ("desk",))),
    "composed": (
        'SELECT %s FROM "lamp"',
        lambda c: c.cursor().execute(
            sql.SQL("SELECT {} FROM {}").format(sql.Literal("desk"), sql.Identifier("lamp"))
        ),
    ),
    "call": ("CALL upper", lambda c: c.cursor().callproc("upper", ("desk",))),
    "copy": (
        "COPY lamp (name) FROM STDIN",
        lambda c: c.cursor().copy_expert("COPY lamp (name) FROM STDIN", io.StringIO("desk\n")),
    ),
    "copy from": (
        "COPY lamp FROM STDIN",
        lambda c: c.cursor().copy_from(io.StringIO("desk\n"), "lamp", columns=("name",)),
    ),
    "copy to": ("COPY lamp TO STDOUT", lambda c: c.cursor().copy_to(io.StringIO(), "lamp")),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_one_span(trace: Trace, connection: Connection, way: str) -> None:
    text, run = WAYS[way]
    with trace.request():
        run(connection)
    span = trace.query()
    assert span.attributes["db.query.text"] == text
    assert span.attributes["db.system.name"] == "postgresql"
    assert span.attributes["db.namespace"] == "postgres"
    assert span.attributes["server.address"]
    assert isinstance(span.attributes["server.port"], int)
    assert span.attributes.get("db.operation.batch.size") == (2 if text == INSERT else None)
    assert "desk" not in str(span.attributes)


def test_the_span_s_line_is_the_user_s(trace: Trace, connection: Connection) -> None:
    def handle() -> None:
        connection.cursor().execute("SELECT")

    with trace.request():
        handle()
    assert line_of(trace.query(), handle.__code__) == 1


def test_pages_of_many_values_are_a_span_each(trace: Trace, connection: Connection) -> None:
    with trace.request():
        psycopg2.extras.execute_values(
            connection.cursor(),
            "INSERT INTO lamp (name) VALUES %s",
            [(str(number),) for number in range(150)],
            page_size=100,
        )
    assert [span.name for span in trace.query_spans()] == ["INSERT lamp"] * 2


def test_a_failed_query_is_failed_and_its_exception_unchanged(
    trace: Trace, connection: Connection
) -> None:
    def fail() -> None:
        connection.cursor().execute("SELECT * FROM nowhere")

    def run() -> list[str]:
        with trace.request(), pytest.raises(psycopg2.errors.UndefinedTable) as caught:
            fail()
        connection.rollback()
        return [frame.name for frame in traceback.extract_tb(caught.tb)]

    traced = run()
    span = trace.failed_query()
    assert span.attributes["error.type"] == "psycopg2.errors.UndefinedTable"
    assert span.attributes["db.response.status_code"] == "42P01"
    libraries.uninstall()
    assert run() == traced


def test_a_closed_connection_fails_as_without_us(trace: Trace, connection: Connection) -> None:
    cursor = connection.cursor()
    connection.close()
    with trace.request(), pytest.raises(psycopg2.InterfaceError):
        cursor.execute("SELECT")


def test_outside_of_a_request_nothing_is_recorded(trace: Trace, connection: Connection) -> None:
    connection.cursor().execute("SELECT")
    assert trace.spans == []


def test_connections_between_many_threads(trace: Trace, postgres: str) -> None:
    def handler(number: int) -> None:
        with trace.request(f"r{number}"):
            for _ in range(2):
                connection = free.pop()
                connection.cursor().execute(f"SELECT %s AS r{number}", (number,))
                free.append(connection)

    free = [psycopg2.connect(postgres) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(handler, range(50)))
    for connection in free:
        connection.close()
    expected = {f"r{number}": [f"SELECT %s AS r{number}"] * 2 for number in range(50)}
    assert trace.by_request("SELECT") == expected

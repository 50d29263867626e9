"""sqlite3: each statement once, whichever way it was executed."""

from __future__ import annotations

import sqlite3
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from asynchooks import libraries
from asynchooks.tracing import SpanKind, StatusCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.libraries.conftest import Trace

SELECT = "SELECT name FROM lamp WHERE id = ?"


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE lamp (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
    connection.execute("INSERT INTO lamp VALUES (1, 'desk')")
    return connection


WAYS: dict[str, Callable[[sqlite3.Connection], Any]] = {
    "connection": lambda c: c.execute(SELECT, (1,)).fetchall(),
    "cursor": lambda c: c.cursor().execute(SELECT, (1,)).fetchall(),
    "named": lambda c: c.execute(SELECT.replace("?", ":id"), {"id": 1}).fetchall(),
    "subclass": lambda c: c.cursor(type("Mine", (sqlite3.Cursor,), {})).execute(SELECT, (1,)),
    "many": lambda c: c.executemany("INSERT INTO lamp (name) VALUES (?)", [("a",), ("b",)]),
    "script": lambda c: c.executescript("SELECT 1; SELECT 2;"),
    "row factory": lambda c: (
        setattr(c, "row_factory", sqlite3.Row) or c.execute(SELECT, (1,)).fetchone()["name"]  # type: ignore[func-returns-value] # on purpose
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_one_span(trace: Trace, way: str) -> None:
    connection = connect()
    with trace.request() as request:
        WAYS[way](connection)
    connection.close()
    (span,) = trace.query_spans()
    assert span.kind is SpanKind.CLIENT
    assert span.attributes["db.system.name"] == "sqlite"
    assert span.parent == request.span.context
    assert span.call_site is not None
    assert span.call_site[0].co_filename == __file__
    assert "desk" not in str(span.attributes)


def test_summary_and_operation(trace: Trace) -> None:
    connection = connect()
    with trace.request():
        connection.execute(SELECT, (1,))
    connection.close()
    (span,) = trace.query_spans()
    assert span.name == "SELECT lamp"
    assert span.attributes["db.operation.name"] == "SELECT"
    assert span.attributes["db.query.text"] == SELECT


def test_outside_of_a_request_nothing_is_recorded(trace: Trace) -> None:
    connect().close()
    assert trace.spans == []


def test_a_failed_statement_is_failed_and_its_exception_unchanged(trace: Trace) -> None:
    connection = connect()

    def insert() -> None:
        connection.execute("INSERT INTO lamp (name) VALUES (?)", ("desk",))

    with trace.request(), pytest.raises(sqlite3.IntegrityError, match="UNIQUE") as caught:
        insert()
    connection.close()
    assert [frame.name for frame in traceback.extract_tb(caught.tb)][1:] == ["insert"]
    (span,) = trace.query_spans()
    assert span.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "sqlite3.IntegrityError"
    assert span.attributes["db.response.status_code"] == str(sqlite3.SQLITE_CONSTRAINT_UNIQUE)


@pytest.mark.parametrize("argument", [None, 42, "SELECT", b"SELECT 1"])
def test_a_wrong_call_fails_as_without_us(trace: Trace, argument: Any) -> None:
    connection = sqlite3.connect(":memory:")

    def fail() -> tuple[type[BaseException], str]:
        with pytest.raises(Exception) as caught:  # noqa: PT011 -- whichever it is
            connection.execute(argument)
        return caught.type, str(caught.value)

    with trace.request():
        traced = fail()
    libraries.uninstall()
    assert fail() == traced
    connection.close()


def test_transactions_work_as_without_us(trace: Trace) -> None:
    connection = connect()
    with trace.request():
        with connection:
            connection.execute("INSERT INTO lamp (name) VALUES ('kept')")
        with pytest.raises(sqlite3.OperationalError), connection:  # noqa: PT012 -- rolled back
            connection.execute("INSERT INTO lamp (name) VALUES ('gone')")
            connection.execute("nonsense")
        names = [name for (name,) in connection.execute("SELECT name FROM lamp ORDER BY id")]
    connection.close()
    assert names == ["desk", "kept"]
    assert len(trace.queries()) == 4


def test_all_is_as_before_after_uninstall(trace: Trace) -> None:
    libraries.uninstall()
    owners = (sqlite3.Connection, sqlite3.Cursor)
    before = [dict(vars(owner)) for owner in owners]
    for _ in range(3):
        libraries.install()
        assert [dict(vars(owner)) for owner in owners] != before
        libraries.uninstall()
    assert [dict(vars(owner)) for owner in owners] == before

"""What the files of databases share: tables of calls, pools, texts of queries."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING, Any

import psycopg
import psycopg2
import pytest
from psycopg import sql
from psycopg2 import sql as sql2

from asynchooks._patching import Patches
from asynchooks.libraries import pools
from asynchooks.libraries.drivers import Calls, batch_size, read_text, trace_calls
from asynchooks.libraries.postgres import query_text
from asynchooks.tracing import Span, set_sink, start_span, suppress_tracing, use_span

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ended() -> Iterator[list[Span]]:
    spans: list[Span] = []
    set_sink(spans.append)
    yield spans
    set_sink(None)


class Failure(Exception):
    code = 7


class Driver:
    def execute(self, query: str) -> str:
        if not query:
            raise Failure
        return query

    def executemany(self, query: str, count: int) -> list[str]:
        return [self.execute(query) for _ in range(count)]


def begin(driver: Driver, query: str, *args: Any) -> Span:
    return start_span(f"query {query}")


@pytest.fixture
def driver(ended: list[Span]) -> Iterator[Driver]:
    patches = Patches()
    trace_calls(
        patches,
        (
            Calls(Driver, ("execute", "of_another_version"), begin),
            Calls(Driver, ("executemany",), begin, is_whole=True),
        ),
        lambda exc: getattr(exc, "code", None),
    )
    with use_span(start_span("request")):
        yield Driver()
    patches.undo()


def test_where_nobody_s_request_runs_nothing_is_asked(ended: list[Span], driver: Driver) -> None:
    with use_span(None):
        assert driver.execute("a") == "a"
    assert ended == []


def test_the_methods_that_there_are_are_traced(ended: list[Span], driver: Driver) -> None:
    assert driver.execute("a") == "a"
    assert [span.name for span in ended] == ["query a"]
    assert not hasattr(Driver, "of_another_version")


def test_a_whole_is_one_span(ended: list[Span], driver: Driver) -> None:
    assert driver.executemany("a", 3) == ["a"] * 3
    assert driver.execute("b") == "b"
    assert [span.name for span in ended] == ["query a", "query b"]


def test_a_failure_has_the_status_of_the_server(ended: list[Span], driver: Driver) -> None:
    failure = Failure()
    with pytest.raises(Failure) as caught:
        driver.execute("")
    assert caught.value is not failure
    assert [frame.name for frame in traceback.extract_tb(caught.tb)][1:] == ["execute"]
    (span,) = ended
    assert span.attributes["db.response.status_code"] == "7"


def test_an_exception_without_a_code_has_no_status(ended: list[Span], driver: Driver) -> None:
    with pytest.raises(TypeError):
        driver.executemany("a", None)  # type: ignore[arg-type] # on purpose
    (span,) = ended
    assert "db.response.status_code" not in span.attributes


@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_waiting_is_a_span_where_there_was_something_to_wait_for(
    ended: list[Span], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def acquire(is_there: bool) -> str:
        if not is_there:
            raise Failure
        return "connection"

    async def acquire_async(is_there: bool) -> str:
        await asyncio.sleep(0)
        return acquire(is_there)

    def wait_at_least(duration: int, is_there: bool = True) -> str:
        monkeypatch.setattr(pools, "_WORTH_A_SPAN", duration)
        if kind == "function":
            connection: str = pools.waiting(acquire)(is_there)
            return connection
        connection = asyncio.run(pools.waiting(acquire_async)(is_there))
        return connection

    assert wait_at_least(0) == "connection"  # nobody's request
    request = start_span("request")
    with use_span(request):
        assert wait_at_least(10**18) == "connection"
        assert wait_at_least(0) == "connection"
        with pytest.raises(Failure) as caught:
            wait_at_least(0, is_there=False)
        with suppress_tracing():
            assert wait_at_least(0) == "connection"
    assert {"record", "_record"}.isdisjoint(f.name for f in traceback.extract_tb(caught.tb))
    assert [(span.name, span.attributes.get("error.type")) for span in ended] == [
        ("wait for a pooled connection", None),
        ("wait for a pooled connection", f"{__name__}.Failure"),
    ]
    assert {span.parent for span in ended} == {request.context}


@pytest.mark.parametrize(
    ("query", "expected"),
    [("SELECT", "SELECT"), (b"SELECT", "SELECT"), (bytearray(b"\xff"), "�"), (None, ""), (7, "")],
)
def test_the_text_of_a_query(query: object, expected: str) -> None:
    assert read_text(query) == expected


def test_a_batch_is_counted_where_that_takes_nothing_from_it() -> None:
    assert batch_size([1, 2]) == 2
    assert batch_size(iter([1, 2])) is None


class Template:
    """As far as it matters, one of Python 3.14's template strings."""

    strings = ("SELECT ", " FROM lamp")


@pytest.mark.parametrize("module", [sql, sql2])
def test_no_value_is_in_the_text_of_a_composed_query(module: Any) -> None:
    composed = module.SQL("SELECT {}, {}").format(
        module.Literal("desk"), module.SQL(", ").join([module.Placeholder(), module.SQL("a")])
    )
    assert query_text(module, composed, None) == "SELECT %s, %s, a"
    assert query_text(module, Template(), None) == "SELECT %s FROM lamp"
    assert query_text(module, "SELECT", None) == "SELECT"
    assert query_text(module, None, None) == ""


def test_both_modules_are_those_of_the_drivers() -> None:
    assert (sql, sql2) == (psycopg.sql, psycopg2.sql)

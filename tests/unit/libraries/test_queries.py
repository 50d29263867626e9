"""QuerySpans: what is said of a statement, and of the place where it is asked, is found once."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import pytest

from asynchooks._native import Answer, QuerySpans, start_request
from asynchooks.tracing import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

Place = tuple[str, str, int | None]


class Connection:
    """A driver's. Its places, and how often one was asked for, stand outside of it."""

    def __init__(self, *place: Any) -> None:
        self.place = place


@pytest.fixture(autouse=True)
def request_in_force() -> Iterator[None]:
    with Answer(start_request(request_id="1", method="GET", path="/")):
        yield


class Driver:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.described: list[str] = []
        self.located: list[Any] = []
        self.begin = QuerySpans(self.describe, self.read, self.locate)

    def describe(
        self, text: str, namespace: str, address: str, port: int | None
    ) -> tuple[str, dict[str, str | int]]:
        self.described.append(text)
        return text, {"text": text, "place": f"{namespace}@{address}:{port}"}

    def read(self, connection: Connection, *, query: str) -> tuple[str, str, str, int | None]:
        return (query, "read", "", None)

    def locate(self, connection: Connection) -> Place:
        self.located.append(connection.place)
        return connection.place

    def place(self, *args: Any, **kwargs: Any) -> object:
        span = self.begin(*args, **kwargs)
        assert isinstance(span, Span)
        return span.attributes["place"]


def test_each_connection_is_asked_once_where_it_is() -> None:
    driver = Driver()
    one, two, other = Connection("a", "h", 1), Connection("a", "h", 1), Connection("b", "h", 2)
    for _ in range(3):
        assert driver.place(one, "select 1") == driver.place(two, "select 1") == "a@h:1"
        assert driver.place(other, "select 1") == "b@h:2"
        assert driver.place(one, "select 2", "a parameter") == "a@h:1"
    assert driver.located == [("a", "h", 1), ("a", "h", 1), ("b", "h", 2)]
    assert driver.described == ["select 1", "select 1", "select 2"]  # once for each place


def test_a_text_by_its_name_goes_by_what_reads_arguments() -> None:
    driver = Driver()
    assert driver.place(Connection("a", "h", 1), query="select 1") == "read@:None"
    assert driver.located == []


def test_a_connection_in_the_memory_of_another_is_asked_anew() -> None:
    driver = Driver()
    seen = set()
    for number in range(3000):  # more than are remembered, too
        connection = Connection("a", "h", number)
        seen.add(id(connection))
        assert driver.place(connection, "select 1") == f"a@h:{number}"
        del connection
    if len(seen) == 3000:
        pytest.skip("this allocator gives no memory twice, as that of a sanitizer")


def test_no_connection_is_kept_alive() -> None:
    driver = Driver()
    connection = Connection("a", "h", 1)
    driver.place(connection, "select 1")
    gone = weakref.ref(connection)
    del connection
    assert gone() is None


@pytest.mark.parametrize("place", ["a text", ("a", "h"), None])
def test_what_is_no_place_is_said(place: Any) -> None:
    begin = QuerySpans(lambda *said: ("name", {}), None, lambda connection: place)
    with pytest.raises(TypeError, match=r"expected \(namespace, address, port\)"):
        begin(Connection(), "select 1")


def test_an_attribute_that_is_set_is_the_span_s_own() -> None:
    driver = Driver()
    connection = Connection("a", "h", 1)
    first, second = (driver.begin(connection, "select 1") for _ in range(2))
    assert first is not None
    assert second is not None
    first.set_attribute("text", "changed")
    first.set_attributes({f"{number}": number for number in range(40)})
    assert second.attributes == {"text": "select 1", "place": "a@h:1"}
    assert list(first.attributes.items())[:3] == [("text", "changed"), ("place", "a@h:1"), ("0", 0)]
    assert len(first.attributes) == 42
    third = driver.begin(connection, "select 1")
    assert third is not None
    assert third.attributes == second.attributes

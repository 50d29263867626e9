"""The store: nothing that was accepted is lost, and it does not grow without end."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.viewer.conftest import Export

from asynchooks.viewer import schema
from asynchooks.viewer import store as store_module
from asynchooks.viewer.decode import decode_export
from asynchooks.viewer.errors import ViewerError
from asynchooks.viewer.query import read_page, read_trace
from asynchooks.viewer.store import Store, default_store_path

if TYPE_CHECKING:
    from pathlib import Path

    from asynchooks.viewer.model import Batch


def batches(*numbers: int) -> list[Batch]:
    """One request, and a query of it, for each number."""
    export = Export()
    for number in numbers:
        root = export.server(f"/{number}", trace=number)
        export.query("SELECT 1", parent=root, trace=number)
    return decode_export(export.body, "application/x-protobuf", "")


def routes(store: Store) -> list[str]:
    reader = store.reader()
    try:
        return [row["route"] for row in read_page(reader, limit=500)["requests"]]
    finally:
        reader.close()


def test_what_was_stored_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "requests.db"
    store = Store(path)
    store.add(batches(1))
    store.close()
    store = Store(path)
    store.add(batches(2))
    assert routes(store) == ["/2", "/1"]
    store.close()


def test_a_store_of_an_earlier_version_is_brought_up_to_this_one(tmp_path: Path) -> None:
    path = tmp_path / "requests.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{schema.M001_INITIAL}PRAGMA user_version = 1;")
    store = Store(path)
    store.add(batches(1))
    assert routes(store) == ["/1"]
    store.close()


def test_it_is_nobody_else_s_to_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "requests.db"
    Store(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_path_with_signs_that_mean_something_in_a_url(tmp_path: Path) -> None:
    path = tmp_path / "a ?b#c%20d" / "requests.db"
    store = Store(path)
    store.add(batches(1))
    assert routes(store) == ["/1"]
    assert path.exists()
    store.close()


def test_the_default_is_in_the_user_s_state_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_store_path() == tmp_path / "asynchooks" / "requests.db"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_store_path() == tmp_path / ".local" / "state" / "asynchooks" / "requests.db"


def test_a_file_that_is_no_store_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"not a database, and longer than its header" * 100)
    before = path.read_bytes()
    with pytest.raises(ViewerError, match=r"photo\.jpg cannot be opened .* --store FILE"):
        Store(path)
    assert path.read_bytes() == before


def test_somebody_else_s_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id)")
    before = path.read_bytes()
    with pytest.raises(ViewerError, match="none of asynchooks"):
        Store(path)
    assert path.read_bytes() == before


def test_a_store_of_a_later_version_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "requests.db"
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ViewerError, match="a newer asynchooks has made it"):
        Store(path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ViewerError, match="cannot be opened"):
        Store(tmp_path / "file" / "requests.db")


def test_an_export_is_stored_as_a_whole_or_not_at_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(batches(1))

    def fail(*args: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store_module, "_summarize", fail)
    with pytest.raises(sqlite3.OperationalError):
        store.add(batches(2, 3))
    monkeypatch.undo()
    reader = store.reader()
    assert read_trace(reader, f"{2:032x}") is None
    reader.close()
    store.add(batches(4))
    assert routes(store) == ["/4", "/1"]


def test_the_oldest_go(tmp_path: Path) -> None:
    store = Store(tmp_path / "requests.db", maximum_requests=10)
    for number in range(1, 41):
        store.add(batches(number))
    assert routes(store) == [f"/{number}" for number in range(40, 30, -1)]
    reader = store.reader()
    (spans,) = reader.execute("SELECT count(*) FROM span").fetchone()
    reader.close()
    assert spans == 20
    store.close()


def test_a_large_export_leaves_a_chunk_at_a_time(tmp_path: Path) -> None:
    store = Store(tmp_path / "requests.db", maximum_requests=10)
    store.add(batches(*range(1, store_module.CHUNK + 101)))
    assert len(routes(store)) == 100
    store.add(batches(1000))
    assert len(routes(store)) == 10
    store.close()


def test_writers_take_turns_and_readers_do_not_wait(store: Store) -> None:
    errors: list[BaseException] = []

    def write(first: int) -> None:
        try:
            for number in range(first, first + 20):
                store.add(batches(number))
                assert f"/{number}" in routes(store)
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=write, args=(1 + 100 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(routes(store)) == 80


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ViewerError, match="cannot be opened"):
        Store(tmp_path / "requests.db")
    tmp_path.chmod(0o700)


def test_only_the_requests_that_an_export_changes_are_told(store: Store) -> None:
    """A load test may send thousands of requests with one traceparent."""
    first = Export()
    heads = [first.server(f"/{number}") for number in range(3)]
    assert len(store.add(decode(first))) == 3
    second = Export()
    second.query("SELECT 1", parent=heads[1])
    (changed,) = store.add(decode(second))
    assert changed == ((1).to_bytes(16, "big"), heads[1].to_bytes(8, "big"))
    assert len(routes(store)) == 3


def test_requests_of_a_trace_that_is_too_long_to_count_stay(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAXIMUM_SPANS_PER_TRACE", 2)
    for number in range(4):
        export = Export()
        export.server(f"/{number}")
        store.add(decode(export))
    assert sorted(routes(store)) == ["/0", "/1", "/2", "/3"]


def decode(export: Export) -> list[Batch]:
    return decode_export(export.body, "application/x-protobuf", "")

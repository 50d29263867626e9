"""The store: SQLite, one writer, any number of readers.

Each export is one transaction, finished before the exporter has its answer: what was accepted
survives `kill -9` (WAL, synchronous=NORMAL: the end of the process loses nothing; the end of the
machine may lose the last moments).
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from asynchooks.viewer.errors import ViewerError
from asynchooks.viewer.schema import migrate
from asynchooks.viewer.summary import COLUMNS, COUNTED, Counts, request_row, summarize_trace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynchooks.viewer.model import Batch, LogBatch, Process

__all__ = ("Store", "default_store_path")

# What is kept: the newest. Older traces go in chunks, so that no export waits long.
MAXIMUM_REQUESTS = 100_000
MAXIMUM_LINES = 1_000_000
CHUNK = 500
# Of a trace with more spans than this, only so many are counted: the sums stay quick.
MAXIMUM_SPANS_PER_TRACE = 50_000


def default_store_path() -> Path:
    """`asynchooks/requests.db` in the user's state folder (XDG_STATE_HOME)."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "asynchooks" / "requests.db"


class Store:
    """Opens, and makes, the store at `path`. Any thread may use it: `_lock` makes writers take
    turns, readers have connections of their own.

    Raises:
        ViewerError: the file cannot be made, or is not a store.
    """

    def __init__(self, path: Path, *, maximum_requests: int = MAXIMUM_REQUESTS) -> None:
        self.path = path
        self._maximum_requests = maximum_requests
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._connection = _open(path)
        except (OSError, sqlite3.Error) as exc:
            raise ViewerError(
                f"the store {path} cannot be opened ({exc}); name another with --store FILE"
            ) from exc

    def close(self) -> None:
        """Close the writer's connection."""
        with self._lock:
            self._connection.close()

    def reader(self) -> sqlite3.Connection:
        """A connection that only reads. Whoever asked closes it."""
        connection = _connect(f"file:{_quote(self.path)}?mode=ro")
        connection.execute("PRAGMA query_only = 1")
        return connection

    def add(self, batches: list[Batch]) -> list[tuple[bytes, bytes]]:
        """Store an export, as a whole or not at all. Returns the requests that it made or
        changed, as (trace_id, span_id).

        Raises:
            sqlite3.Error: the disk is full, or gone; nothing of the export was stored.
        """
        with self._lock, self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            touched: dict[bytes, int] = {}  # of a trace, to its earliest start here
            came: defaultdict[bytes, set[bytes]] = defaultdict(set)
            for batch in batches:
                process = _put_process(connection, batch.process)
                for span in batch.spans:
                    earliest = touched.get(span.trace_id, span.start)
                    touched[span.trace_id] = min(earliest, span.start)
                    came[span.trace_id].add(span.span_id)
                    connection.execute(
                        "INSERT OR REPLACE INTO span VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                        (
                            span.trace_id,
                            span.span_id,
                            span.parent_id,
                            process,
                            span.name,
                            span.kind,
                            span.start,
                            span.end,
                            span.status,
                            span.message,
                            span.is_query,
                            span.is_call,
                            span.log_count,
                            json.dumps(span.attributes),
                            json.dumps(span.events),
                            json.dumps(span.links),
                        ),
                    )
            order = sorted(touched, key=touched.__getitem__)
            changed = _summarize_all(connection, {key: came[key] for key in order})
            self._retire(connection)
            return changed

    def add_logs(self, batches: list[LogBatch]) -> list[tuple[bytes, bytes]]:
        """Store an export of log lines, as `add` does. A line that is stored already was sent
        again, and is left out. A line may come before its span, or without it."""
        with self._lock, self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            for batch in batches:
                process = _put_process(connection, batch.process)
                connection.executemany(
                    "INSERT OR IGNORE INTO log"
                    " (trace_id, span_id, process, time, message, severity, logger, attributes)"
                    " VALUES (?,?,?,?,?,?,?,?)",
                    [
                        (
                            line.trace_id,
                            line.span_id,
                            process,
                            line.time,
                            line.message,
                            line.severity,
                            line.logger,
                            json.dumps(line.attributes),
                        )
                        for line in batch.lines
                    ],
                )
            touched = dict.fromkeys(line.trace_id for batch in batches for line in batch.lines)
            changed = _summarize_all(connection, {key: set() for key in touched})
            self._retire_lines(connection)
            return changed

    def _retire_lines(self, connection: sqlite3.Connection) -> None:
        """Lines of requests go with them; this is for those whose request never comes."""
        (count,) = connection.execute("SELECT max(id) - min(id) + 1 FROM log").fetchone()
        if count is not None and count > MAXIMUM_LINES:
            connection.execute(
                "DELETE FROM log WHERE id IN (SELECT id FROM log ORDER BY id LIMIT ?)",
                (min(count - MAXIMUM_LINES, 10 * CHUNK),),
            )

    def _retire(self, connection: sqlite3.Connection) -> None:
        """Let the oldest go, a chunk at a time. Ids only grow, so their span bounds the count."""
        (count,) = connection.execute("SELECT max(id) - min(id) + 1 FROM request").fetchone()
        if count is None or count <= self._maximum_requests:
            return
        oldest = "FROM request ORDER BY id LIMIT ?"
        chunk = (min(count - self._maximum_requests, CHUNK),)
        for table in ("span", "log"):
            connection.execute(
                f"DELETE FROM {table} WHERE trace_id IN (SELECT trace_id {oldest})",  # noqa: S608 -- constants
                chunk,
            )
        connection.execute(f"DELETE FROM request WHERE id IN (SELECT id {oldest})", chunk)  # noqa: S608 -- a constant


def _open(path: Path) -> sqlite3.Connection:
    """The writer's connection to a store of this version."""
    connection = _connect(f"file:{_quote(path)}?mode=rw")
    try:
        migrate(connection)  # which leaves a database that is not ours as it is
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, timeout=5, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    return connection


def _quote(path: Path) -> str:
    text = str(path.resolve())
    return text.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _put_process(connection: sqlite3.Connection, process: Process) -> int:
    (process_id,) = connection.execute(
        "INSERT INTO process (identity, service, attributes, dropped) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (identity) DO UPDATE SET attributes = excluded.attributes,"
        " dropped = excluded.dropped RETURNING id",
        (process.identity, process.service, json.dumps(process.attributes), process.dropped),
    ).fetchone()
    return int(process_id)


def _summarize_all(
    connection: sqlite3.Connection, came: Mapping[bytes, set[bytes]]
) -> list[tuple[bytes, bytes]]:
    """`_summarize` for each trace, with its new spans."""
    return [key for trace_id in came for key in _summarize(connection, trace_id, came[trace_id])]


def _summarize(
    connection: sqlite3.Connection, trace_id: bytes, came: set[bytes]
) -> list[tuple[bytes, bytes]]:
    """Bring the rows of a trace's requests up to date, `came` being its new spans. Returns those
    that changed."""
    of_trace = f"SELECT {COUNTED} FROM span WHERE trace_id = ?"  # noqa: S608 -- constants
    spans = connection.execute(
        f"{of_trace} LIMIT ?", (trace_id, MAXIMUM_SPANS_PER_TRACE)
    ).fetchall()
    # Of a trace that is too long, what is new is seen all the same.
    spans += [
        connection.execute(f"{of_trace} AND span_id = ?", (trace_id, span_id)).fetchone()
        for span_id in came.difference(span["span_id"] for span in spans)
    ]
    if not spans:
        return []  # only lines have come
    lines = connection.execute(
        "SELECT span_id, count(*) FROM log WHERE trace_id = ? GROUP BY span_id", (trace_id,)
    )
    requests = summarize_trace(spans, dict(lines.fetchall()))
    listed = {
        span_id: Counts(bool(pending), *counts)
        for span_id, pending, *counts in connection.execute(
            "SELECT span_id, pending, spans, queries, calls, logs, errors FROM request"
            " WHERE trace_id = ?",
            (trace_id,),
        )
    }
    # A row that stood in for a root or a request that had not come goes when it comes.
    others = {span["span_id"] for span in spans} - requests.keys()
    connection.executemany(
        "DELETE FROM request WHERE trace_id = ? AND span_id = ?",
        [(trace_id, span_id) for span_id in listed.keys() & others],
    )
    changed = [
        connection.execute(
            "SELECT * FROM span WHERE trace_id = ? AND span_id = ?", (trace_id, span_id)
        ).fetchone()
        for span_id, counts in requests.items()
        if span_id in came or listed.get(span_id) != counts
    ]
    columns = COLUMNS.split(", ")
    updates = ", ".join(f"{name} = excluded.{name}" for name in columns[2:])
    values = ", ".join("?" * len(columns))
    connection.executemany(
        f"INSERT INTO request ({COLUMNS}) VALUES ({values})"  # noqa: S608 -- constants and marks
        f" ON CONFLICT (trace_id, span_id) DO UPDATE SET {updates}",
        [request_row(head, requests[head["span_id"]]) for head in changed],
    )
    return [(trace_id, head["span_id"]) for head in changed]

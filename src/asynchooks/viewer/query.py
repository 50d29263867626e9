"""What the page asks the store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from asynchooks.viewer.errors import BadRequestError
from asynchooks.viewer.filters import parse_filter

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

__all__ = ("MAXIMUM_PAGE", "read_page", "read_requests", "read_trace", "total_dropped")

MAXIMUM_PAGE = 500

_SELECT = (
    "SELECT request.*, service, dropped FROM request JOIN process ON process.id = request.process"
)


def read_page(
    connection: sqlite3.Connection, *, text: str = "", limit: int = 100, before: int | None = None
) -> dict[str, Any]:
    """The newest requests that pass the filter, newest first, from before id `before` on; and how
    many spans the processes that they are of have dropped.

    Raises:
        BadRequestError: the filter makes no sense.
    """
    condition, parameters = parse_filter(text)
    rows = connection.execute(
        f"{_SELECT} WHERE request.id < ? AND {condition} ORDER BY request.id DESC LIMIT ?",
        (before if before is not None else 1 << 62, *parameters, max(1, min(limit, MAXIMUM_PAGE))),
    ).fetchall()
    processes = {row["process"]: row["dropped"] for row in rows}
    return {"requests": [_summary(row) for row in rows], "dropped": sum(processes.values())}


def read_requests(
    connection: sqlite3.Connection, keys: Iterable[tuple[bytes, bytes]]
) -> list[dict[str, Any]]:
    """The rows of the list for (trace_id, span_id), oldest first; what is gone is left out."""
    rows = [
        connection.execute(f"{_SELECT} WHERE trace_id = ? AND span_id = ?", key).fetchone()
        for key in keys
    ]
    return sorted(
        (_summary(row) for row in rows if row is not None), key=lambda row: int(row["id"])
    )


def read_trace(connection: sqlite3.Connection, trace_id: str) -> dict[str, Any] | None:
    """One trace with all that is known of it, or None.

    Raises:
        BadRequestError: `trace_id` is not 32 hex digits.
    """
    try:
        key = bytes.fromhex(trace_id)
    except ValueError:
        key = b""
    if len(key) != 16:
        raise BadRequestError(f"a trace id is 32 hex digits, not {trace_id!r}")
    spans = connection.execute(
        "SELECT span.*, service FROM span JOIN process ON process.id = span.process"
        " WHERE trace_id = ? ORDER BY start, span_id",
        (key,),
    ).fetchall()
    if not spans:
        return None
    requests = connection.execute(f"{_SELECT} WHERE trace_id = ? ORDER BY start", (key,)).fetchall()
    return {
        "trace_id": trace_id.lower(),
        "requests": [_summary(row) for row in requests],
        "spans": _with_lines([_span(row) for row in spans], _read_lines(connection, key)),
    }


def _read_lines(connection: sqlite3.Connection, trace_id: bytes) -> list[sqlite3.Row]:
    """The log lines of a trace that came by themselves."""
    return connection.execute(
        "SELECT * FROM log WHERE trace_id = ? ORDER BY time, id", (trace_id,)
    ).fetchall()


def _with_lines(spans: list[dict[str, Any]], lines: list[sqlite3.Row]) -> list[dict[str, Any]]:
    """The spans with their log lines as events, as they are where a line is sent with its span;
    those of a span that is not stored stand at the first."""
    by_id = {span["span_id"]: span for span in spans}
    for line in lines:
        known = {
            "log.message": line["message"],
            "log.severity": line["severity"],
            "log.logger": line["logger"],
        }
        attributes = {**known, **json.loads(line["attributes"])}
        event = {"name": "log", "time": str(line["time"]), "attributes": attributes}
        by_id.get(line["span_id"].hex(), spans[0])["events"].append(event)
    for span in spans:
        span["events"].sort(key=lambda event: int(event["time"]))
    return spans


def total_dropped(connection: sqlite3.Connection) -> int:
    """How many spans the traced processes have dropped, by their own counts."""
    (dropped,) = connection.execute("SELECT coalesce(sum(dropped), 0) FROM process").fetchone()
    return int(dropped)


def _summary(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "trace_id": row["trace_id"].hex(),
        "span_id": row["span_id"].hex(),
        "pending": bool(row["pending"]),
        "error": bool(row["error"]),
        # As text: JavaScript's numbers end at 2^53, which is 104 days of ns.
        "start": str(row["start"]),
        "duration_ns": row["duration"],
        **{
            key: row[key]
            for key in (
                "service",
                "request_id",
                "method",
                "route",
                "path",
                "user",
                "status",
                "spans",
                "queries",
                "calls",
                "logs",
                "errors",
            )
        },
    }


def _span(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "span_id": row["span_id"].hex(),
        "parent_span_id": row["parent_id"].hex() if row["parent_id"] is not None else None,
        "service": row["service"],
        "name": row["name"],
        "kind": row["kind"],
        "start": str(row["start"]),
        "duration_ns": row["end"] - row["start"],
        "status": row["status"],
        "message": row["message"],
        "is_query": bool(row["is_query"]),
        "is_call": bool(row["is_call"]),
        "attributes": json.loads(row["attributes"]),
        "events": json.loads(row["events"]),
        "links": json.loads(row["links"]),
    }


def parse_number(text: str | None, name: str) -> int | None:
    """A number out of a query string.

    Raises:
        BadRequestError: it is none.
    """
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadRequestError(f"`{name}` is {text!r}, expected a number")
    return int(text)

"""From the spans of a trace to its requests: a row of the list each.

In two steps, since a trace may have tens of thousands of spans (a long websocket) or of requests
(a load test with one traceparent): all of its spans are counted by a few of their columns, and only
the requests that an export has changed are read and written as a whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asynchooks.viewer.model import ERROR, SERVER

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

__all__ = ("COLUMNS", "COUNTED", "Counts", "request_row", "summarize_trace")

COLUMNS = (
    "trace_id, span_id, process, pending, request_id, method, route, path, user, status, start,"
    " duration, spans, queries, calls, logs, errors, error"
)
# What `summarize_trace` looks at.
COUNTED = "span_id, parent_id, kind, start, status, is_query, is_call, logs"


@dataclass(slots=True)
class Counts:
    """What a request has caused, itself among the spans. `pending`: a span stands in for a root
    that has not come."""

    pending: bool = False

    spans: int = 0
    queries: int = 0
    calls: int = 0
    logs: int = 0
    errors: int = 0


def summarize_trace(spans: list[sqlite3.Row], lines: Mapping[bytes, int]) -> dict[bytes, Counts]:
    """The requests of one trace, by the ids of their spans, from the columns `COUNTED`, and from
    how many log lines came by themselves, by the ids of theirs.

    A request is a server span, and has what lies below it down to the next server span. A trace
    without one has its root as its request, and while that has not come, its earliest span,
    marked as pending. What comes late or out of order is counted all the same, since a trace is
    summarized anew whenever one of its spans comes.
    """
    by_id = {span["span_id"]: span for span in spans}
    heads = [span for span in spans if span["kind"] == SERVER]
    pending = False
    if not heads:
        roots = [span for span in spans if span["parent_id"] is None]
        pending = not roots
        heads = [min(roots or spans, key=lambda span: span["start"])]
    owners = {head["span_id"]: head["span_id"] for head in heads}
    fallback = min(heads, key=lambda span: span["start"])["span_id"]
    counts = {head["span_id"]: Counts(pending) for head in heads}
    for span in spans:
        count = counts[_owner(span, by_id, owners, fallback)]
        count.spans += 1
        count.queries += span["is_query"]
        count.calls += span["is_call"]
        count.logs += span["logs"]
        count.errors += span["status"] == ERROR
    for span_id, number in lines.items():
        counts[owners.get(span_id, fallback)].logs += number
    return counts


def _owner(
    span: sqlite3.Row,
    by_id: dict[bytes, sqlite3.Row],
    owners: dict[bytes, bytes],
    fallback: bytes,
) -> bytes:
    """The nearest request above `span`, remembered for all on the way."""
    way: list[bytes] = []
    current: sqlite3.Row | None = span
    owner = fallback
    while current is not None and current["span_id"] not in way:
        span_id = current["span_id"]
        if span_id in owners:
            owner = owners[span_id]
            break
        way.append(span_id)
        current = by_id.get(current["parent_id"])
    for span_id in way:
        owners[span_id] = owner
    return owner


def request_row(head: sqlite3.Row, counts: Counts) -> tuple[Any, ...]:
    """The row of a request, in the order of `COLUMNS`, from its span with all columns."""
    attributes = json.loads(head["attributes"])

    def text(*keys: str) -> str:
        return next((str(attributes[key]) for key in keys if key in attributes), "")

    status = attributes.get("http.response.status_code", attributes.get("http.status_code"))
    status = status if isinstance(status, int) else None
    method = text("http.request.method", "http.method")
    return (
        head["trace_id"],
        head["span_id"],
        head["process"],
        counts.pending,
        text("asynchooks.request_id"),
        method,
        text("http.route") or ("" if method else head["name"]),
        text("url.path", "http.target"),
        text("enduser.id", "user.id"),
        status,
        head["start"],
        head["end"] - head["start"],
        counts.spans,
        counts.queries,
        counts.calls,
        counts.logs,
        counts.errors,
        head["status"] == ERROR or (status or 0) >= 500,
    )

"""Spans of database queries, alike for every driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.libraries.sql import read_statement
from asynchooks.tracing import SpanKind, recording_span, start_span

if TYPE_CHECKING:
    from asynchooks.tracing import Span

__all__ = ("query_span",)


def query_span(
    system: str,
    text: str,
    *,
    namespace: str = "",
    address: str = "",
    port: int | None = None,
    batch_size: int | None = None,
) -> Span | None:
    """A span for an SQL query that is about to run, or None where nobody's request runs it, or one
    that is not sampled.

    The text is kept without its literals; the values of parameters never are.
    """
    parent = recording_span()
    if parent is None:
        return None
    statement = read_statement(text, system)
    attributes: dict[str, str | int] = {
        "db.system.name": system,
        "db.query.text": statement.text,
    }
    if statement.operation:
        attributes["db.operation.name"] = statement.operation
        attributes["db.query.summary"] = statement.summary
    if namespace:
        attributes["db.namespace"] = namespace
    if address:
        attributes["server.address"] = address
    if port is not None:
        attributes["server.port"] = port
    if batch_size is not None and batch_size > 1:
        attributes["db.operation.batch.size"] = batch_size
    return start_span(
        statement.summary or system, kind=SpanKind.CLIENT, parent=parent, attributes=attributes
    )

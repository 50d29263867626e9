"""Spans of queries and commands of databases, alike for every driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.libraries.sql import read_statement
from asynchooks.tracing import SpanKind, recording_span, start_span

if TYPE_CHECKING:
    from asynchooks.tracing import Span

__all__ = ("command_span", "query_span")


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

    The text is kept without its literals; values of parameters are the business of `parameters`.
    """
    parent = recording_span()
    if parent is None:
        return None
    statement = read_statement(text, system)
    attributes = {"db.query.text": statement.text}
    if statement.operation:
        attributes["db.operation.name"] = statement.operation
        attributes["db.query.summary"] = statement.summary
    return _start(parent, system, attributes, namespace, address, port, batch_size)


def command_span(
    system: str,
    operation: str,
    *,
    text: str = "",
    collection: str = "",
    namespace: str = "",
    address: str = "",
    port: int | None = None,
    batch_size: int | None = None,
) -> Span | None:
    """The same for a command that is no SQL. `text` has to be free of values."""
    parent = recording_span()
    if parent is None:
        return None
    attributes = {
        "db.operation.name": operation,
        "db.query.summary": f"{operation} {collection}" if collection else operation,
    }
    if text:
        attributes["db.query.text"] = text
    if collection:
        attributes["db.collection.name"] = collection
    return _start(parent, system, attributes, namespace, address, port, batch_size)


def _start(
    parent: Span,
    system: str,
    texts: dict[str, str],
    namespace: str,
    address: str,
    port: int | None,
    batch_size: int | None,
) -> Span:
    attributes: dict[str, str | int] = {"db.system.name": system, **texts}
    if namespace:
        attributes["db.namespace"] = namespace
    if address:
        attributes["server.address"] = address
    if port is not None:
        attributes["server.port"] = port
    if batch_size is not None and batch_size > 1:
        attributes["db.operation.batch.size"] = batch_size
    name = texts.get("db.query.summary") or system
    return start_span(name, kind=SpanKind.CLIENT, parent=parent, attributes=attributes)

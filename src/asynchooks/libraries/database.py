"""Spans of queries and commands of databases, alike for every driver."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks._native import QuerySpans
from asynchooks.libraries.sql import read_statement
from asynchooks.tracing import SpanKind, recording_span, start_span

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynchooks.tracing import Span

    # From the arguments of a call to (text, namespace, address, port), or None: they ask nothing.
    ReadQuery = Callable[..., tuple[str, str, str, int | None] | None]
    # From a connection to (namespace, address, port).
    Locate = Callable[[Any], tuple[str, str, int | None]]

__all__ = ("command_span", "query_span", "query_spans")


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
    span = query_spans(system).start(text, namespace, address, port)
    if span is not None and batch_size is not None and batch_size > 1:
        span.set_attribute("db.operation.batch.size", batch_size)
    return span


@functools.cache
def query_spans(
    system: str, read: ReadQuery | None = None, locate: Locate | None = None
) -> QuerySpans:
    """What starts the spans of queries of a `db.system.name`; itself what begins the span of a
    driver's method. `read` says what its arguments ask, and of which database; without it, the
    second one is the text, and the database is nowhere in particular. Where the second one is the
    text, `locate` says of the first, which stays there for life, of which database."""
    return QuerySpans(functools.partial(_describe, system), read, locate)


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
    summary = f"{operation} {collection}" if collection else operation
    attributes: dict[str, str | int] = {"db.system.name": system}
    attributes |= {"db.operation.name": operation, "db.query.summary": summary}
    if text:
        attributes["db.query.text"] = text
    if collection:
        attributes["db.collection.name"] = collection
    _add_place(attributes, namespace, address, port)
    if batch_size is not None and batch_size > 1:
        attributes["db.operation.batch.size"] = batch_size
    return start_span(summary, kind=SpanKind.CLIENT, parent=parent, attributes=attributes)


def _describe(
    system: str, text: str, namespace: str, address: str, port: int | None
) -> tuple[str, dict[str, str | int]]:
    """The name and the attributes of a query's span."""
    statement = read_statement(text, system)
    attributes: dict[str, str | int] = {
        "db.system.name": system,
        "db.query.text": statement.text,
    }
    if statement.operation:
        attributes["db.operation.name"] = statement.operation
        attributes["db.query.summary"] = statement.summary
    _add_place(attributes, namespace, address, port)
    return statement.summary or system, attributes


def _add_place(
    attributes: dict[str, str | int], namespace: str, address: str, port: int | None
) -> None:
    if namespace:
        attributes["db.namespace"] = namespace
    if address:
        attributes["server.address"] = address
    if port is not None:
        attributes["server.port"] = port

"""Spans of queries and commands of databases, alike for every driver."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from asynchooks.libraries.sql import read_statement
from asynchooks.tracing import SpanKind, recording_span, start_span

if TYPE_CHECKING:
    from asynchooks.tracing import Span

__all__ = ("command_span", "query_span")

# A longer text is read anew each time: the cache must stay small.
_MAXIMUM_CACHED = 2048


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
    describe = _described if len(text) <= _MAXIMUM_CACHED else _describe
    name, attributes = describe(system, text, namespace, address, port)
    return _start(parent, name, attributes, batch_size)


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
    return _start(parent, summary, attributes, batch_size)


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


# What a program asks, it asks again.
_described = functools.lru_cache(maxsize=1024)(_describe)


def _add_place(
    attributes: dict[str, str | int], namespace: str, address: str, port: int | None
) -> None:
    if namespace:
        attributes["db.namespace"] = namespace
    if address:
        attributes["server.address"] = address
    if port is not None:
        attributes["server.port"] = port


def _start(
    parent: Span, name: str, attributes: dict[str, str | int], batch_size: int | None
) -> Span:
    if batch_size is not None and batch_size > 1:
        attributes = {**attributes, "db.operation.batch.size": batch_size}
    return start_span(name, kind=SpanKind.CLIENT, parent=parent, attributes=attributes)

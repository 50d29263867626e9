"""Spans of database commands that are no SQL: of Redis and MongoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.tracing import SpanKind, current_span, is_suppressed, start_span

if TYPE_CHECKING:
    from asynchooks.tracing import Span

__all__ = ("command_span", "is_traced")


def is_traced() -> bool:
    """Whether a command that runs here would be recorded."""
    return current_span() is not None and not is_suppressed()


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
    """A span for a command that is about to run, or None where nobody's request runs it.

    `text` has to be free of values.
    """
    parent = current_span()
    if parent is None or is_suppressed():
        return None
    summary = f"{operation} {collection}" if collection else operation
    attributes: dict[str, str | int] = {
        "db.system.name": system,
        "db.operation.name": operation,
        "db.query.summary": summary,
    }
    if text:
        attributes["db.query.text"] = text
    if collection:
        attributes["db.collection.name"] = collection
    if namespace:
        attributes["db.namespace"] = namespace
    if address:
        attributes["server.address"] = address
    if port is not None:
        attributes["server.port"] = port
    if batch_size is not None and batch_size > 1:
        attributes["db.operation.batch.size"] = batch_size
    return start_span(summary, kind=SpanKind.CLIENT, parent=parent, attributes=attributes)

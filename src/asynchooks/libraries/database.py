"""Spans of database queries, alike for every driver."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from asynchooks.tracing import SpanKind, current_span, is_suppressed, start_span

if TYPE_CHECKING:
    from asynchooks.tracing import Span

__all__ = ("query_span", "summarize")

# Possessive, and over the text's beginning alone: no statement makes these slow.
_READ = 2000
_OPERATION = re.compile(r"(?:\s|--[^\n]*+\n|/\*(?>.*?\*/)|\()*+([A-Za-z]++)", re.DOTALL)
_TARGET = re.compile(
    r"\b(?:FROM|INTO|UPDATE|TABLE|JOIN)\s++(?:IF\s++(?:NOT\s++)?EXISTS\s++)?[\"`\[]?([\w.$]++)",
    re.IGNORECASE,
)
# OpenTelemetry's limit for a summary.
_MAXIMUM_SUMMARY = 255


def summarize(text: str) -> tuple[str, str]:
    """The operation and a summary of low cardinality: `SELECT`, `SELECT orders`."""
    return _summarize(text[:_READ])


@functools.lru_cache(maxsize=1024)
def _summarize(text: str) -> tuple[str, str]:
    operation = _OPERATION.match(text)
    if operation is None:
        return "", ""
    name = operation[1].upper()
    target = _TARGET.search(text, operation.start(1))
    summary = f"{name} {target[1]}" if target is not None else name
    return name, summary[:_MAXIMUM_SUMMARY]


def query_span(
    system: str,
    text: str,
    *,
    namespace: str = "",
    address: str = "",
    port: int | None = None,
    batch_size: int | None = None,
) -> Span | None:
    """A span for a query that is about to run, or None where nobody's request runs it.

    The text is kept as it is; the values of its parameters never are.
    """
    parent = current_span()
    if parent is None or is_suppressed():
        return None
    operation, summary = summarize(text)
    span = start_span(summary or system, kind=SpanKind.CLIENT, parent=parent)
    attributes: dict[str, str | int] = {"db.system.name": system, "db.query.text": text}
    if operation:
        attributes["db.operation.name"] = operation
        attributes["db.query.summary"] = summary
    if namespace:
        attributes["db.namespace"] = namespace
    if address:
        attributes["server.address"] = address
    if port is not None:
        attributes["server.port"] = port
    if batch_size is not None and batch_size > 1:
        attributes["db.operation.batch.size"] = batch_size
    span.set_attributes(attributes)
    return span

"""What psycopg2 and psycopg have in common: the text of a composed query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.drivers import read_text

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ("query_text",)


def query_text(sql: ModuleType, query: Any, context: Any) -> str:
    """The text of a query, which may be composed by the driver's module `sql`, or a template
    string: without the values in it. "" where it is none."""
    if isinstance(query, sql.Composed):
        return "".join(query_text(sql, part, context) for part in query)
    if isinstance(query, sql.Literal):
        return "%s"
    if isinstance(query, sql.Composable):
        return str(query.as_string(context))
    strings = getattr(query, "strings", None)
    return "%s".join(strings) if isinstance(strings, tuple) else read_text(query)

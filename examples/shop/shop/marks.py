"""The caller's mark (`x-query-tag`) on what a request does. Without one, nothing is to be seen."""

from __future__ import annotations


def in_sql(tag: str | None) -> str:
    """A comment for the end of a statement."""
    return f" /* {tag} */" if tag else ""


def in_log(tag: str | None) -> str:
    """The end of a log line."""
    return f" ({tag})" if tag else ""

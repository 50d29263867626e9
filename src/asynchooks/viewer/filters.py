"""What is typed into the filter box, as a condition in SQL.

Words must all hold. A bare word is looked for in the route, the path, the name and the request id;
`key:value` looks in one place; a leading `-` turns a word round; quotes keep spaces together.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from asynchooks.viewer.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    Condition = tuple[str, tuple[object, ...]]

__all__ = ("KEYS", "parse_filter")

_NUMBER = re.compile(r"(?P<operator>>=|<=|>|<|=)?(?P<number>\d+(?:\.\d+)?)(?P<unit>ns|us|ms|s)?")
# SQLite's limit is a depth of 1,000 for an expression.
_MAXIMUM_WORDS = 100
_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


def _contains(*columns: str) -> Callable[[str], Condition]:
    def condition(value: str) -> Condition:
        pattern = "%" + re.sub(r"([\\%_])", r"\\\1", value) + "%"
        terms = " OR ".join(rf"{column} LIKE ? ESCAPE '\'" for column in columns)
        return f"({terms})", (pattern,) * len(columns)

    return condition


def _equals(column: str) -> Callable[[str], Condition]:
    return lambda value: (f"{column} = ? COLLATE NOCASE", (value,))


def _compares(column: str, *, is_time: bool = False) -> Callable[[str], Condition]:
    def condition(value: str) -> Condition:
        match = _NUMBER.fullmatch(value)
        if match is None or (match["unit"] and not is_time):
            example = ">100ms" if is_time else ">=5"
            raise BadRequestError(f"{value!r} is not a number to compare with, like {example}")
        number = float(match["number"])
        if is_time:
            number *= _UNITS[match["unit"] or "ms"]
        return f"coalesce({column}, 0) {match['operator'] or '='} ?", (number,)

    return condition


_FREE = _contains("route", "path", "request_id", "method", "service")

KEYS: dict[str, Callable[[str], Condition]] = {
    "method": _equals("method"),
    "route": _contains("route"),
    "path": _contains("path"),
    "service": _contains("service"),
    "user": _contains("user"),
    "id": _contains("request_id", "hex(trace_id)"),
    "status": _compares("status"),
    "duration": _compares("duration", is_time=True),
    "queries": _compares("queries"),
    "calls": _compares("calls"),
    "logs": _compares("logs"),
    "errors": _compares("errors"),
    "spans": _compares("spans"),
}


def parse_filter(text: str) -> Condition:
    """The condition over the columns of `request` and `process.service`, with its parameters.

    Raises:
        BadRequestError: the text is no filter; the message says where and what would be.
    """
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.escape = ""
    lexer.quotes = '"'
    try:
        words = list(lexer)
    except ValueError as exc:
        raise BadRequestError('a quote (") is open in the filter') from exc
    if len(words) > _MAXIMUM_WORDS:
        raise BadRequestError(f"the filter has {len(words)} words, more than {_MAXIMUM_WORDS}")
    conditions: list[str] = []
    parameters: list[object] = []
    for word in words:
        negated = word.startswith("-") and len(word) > 1
        sql, values = _condition(word[1:] if negated else word)
        conditions.append(f"NOT {sql}" if negated else sql)
        parameters.extend(values)
    return " AND ".join(conditions) or "1", tuple(parameters)


def _condition(word: str) -> Condition:
    if word == "error":
        return "(error <> 0)", ()
    key, colon, value = word.partition(":")
    if not colon or not key.isidentifier() or value.startswith("//"):  # a URL is a word
        return _FREE(word)
    if key not in KEYS:
        raise BadRequestError(
            f"`{key}:` is not something to filter by; there are {', '.join(KEYS)}"
        )
    if not value:
        raise BadRequestError(f"`{key}:` has no value")
    sql, values = KEYS[key](value)
    return f"({sql})", values

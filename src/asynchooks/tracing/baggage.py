"""W3C Baggage: values that go with a trace from service to service."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from asynchooks.tracing.scope import NO_BAGGAGE, Scope, current_scope

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("current_baggage", "format_baggage", "parse_baggage", "use_baggage")

# The specification's: what is beyond is not passed on.
MAXIMUM_ENTRIES = 64
MAXIMUM_LENGTH = 8192

_KEY = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# What stands for itself in a value: no control, space, quote, comma, semicolon, backslash, percent.
_SAFE = "!#$&'()*+-./:<=>?@[]^_`{|}~"


def current_baggage() -> Mapping[str, Any]:
    """The baggage of what runs here. OpenTelemetry's API may have put in other things than text."""
    return current_scope().baggage or NO_BAGGAGE


class use_baggage(Scope):
    """`with use_baggage({"tenant": "a"}):` these values are added to the baggage inside."""

    __slots__ = ()

    def __init__(self, values: Mapping[str, str]) -> None:
        self.baggage = {**(self.baggage or {}), **values}


def parse_baggage(header: str) -> Mapping[str, str]:
    """The entries of a `baggage` header, without their properties. Those that are not as they
    should be are left out."""
    if not header:
        return NO_BAGGAGE
    entries: dict[str, str] = {}
    for item in header[:MAXIMUM_LENGTH].split(",", MAXIMUM_ENTRIES)[:MAXIMUM_ENTRIES]:
        key, equals, value = item.partition(";")[0].partition("=")
        key = key.strip(" \t")
        if equals and _KEY.fullmatch(key):
            entries[key] = unquote(value.strip(" \t"))
    return entries


def format_baggage(baggage: Mapping[str, Any]) -> str:
    """The `baggage` header of these values, as many as it may hold; "" where there are none."""
    items: list[str] = []
    length = 0
    for key, value in baggage.items():
        if not _KEY.fullmatch(key):
            continue
        item = f"{key}={quote(str(value), safe=_SAFE)}"
        length += len(item) + 1
        if len(items) == MAXIMUM_ENTRIES or length > MAXIMUM_LENGTH + 1:
            break
        items.append(item)
    return ",".join(items)

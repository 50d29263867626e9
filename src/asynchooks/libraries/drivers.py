"""A driver's table: which of its methods run queries, and what the span of each says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from asynchooks._native import QuerySpans
from asynchooks.libraries.calls import traced
from asynchooks.libraries.parameters import capturing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from asynchooks._patching import Patches
    from asynchooks.libraries.calls import Begin, Explain
    from asynchooks.libraries.parameters import Parameters
    from asynchooks.tracing import Span

    # From a driver's exception to the code by which the server says what is wrong, or None.
    Status = Callable[[Any], object]

__all__ = ("Calls", "batch_size", "read_text", "response_status", "trace_calls")


# These take many sets of parameters at once.
_MANY = frozenset(("executemany", "fetchmany"))


class Calls(NamedTuple):
    """A row: methods of one class whose spans begin alike. Those that a version of the driver does
    not have are left out. `is_whole`: what they call of the driver again is no span of its own.
    `parameters`: where in the arguments those of the query are."""

    owner: type
    methods: tuple[str, ...]
    begin: Begin
    is_whole: bool = False
    parameters: Parameters | None = None


def trace_calls(patches: Patches, rows: Iterable[Calls], status: Status) -> None:
    """Wrap every method of `rows` in a span, where somebody's request that is recorded calls it;
    `status` reads the code of one that fails."""
    explain = response_status(status)
    for row in rows:
        for method in row.methods:
            if not hasattr(row.owner, method):
                continue
            begin = row.begin
            if row.parameters is not None and method not in _MANY:
                begin = capturing(begin, row.parameters)
            is_gated = not isinstance(begin, QuerySpans)  # which looks itself
            wrap = traced(begin, explain=explain, is_whole=row.is_whole, is_gated=is_gated)
            patches.wrap(row.owner, method, wrap)


def response_status(status: Status) -> Explain:
    """Set `db.response.status_code` to what `status` reads from an exception."""

    def explain(span: Span, exc: BaseException) -> None:
        code = status(exc)
        if code is not None:
            span.set_attribute("db.response.status_code", str(code))

    return explain


def batch_size(parameters: object) -> int | None:
    """How many sets of parameters there are, where that can be seen without taking any."""
    return len(parameters) if isinstance(parameters, (list, tuple)) else None


def read_text(query: object) -> str:
    """The text of a query that is a string or bytes; "" of anything else."""
    if isinstance(query, str):
        return query
    return query.decode(errors="replace") if isinstance(query, (bytes, bytearray)) else ""

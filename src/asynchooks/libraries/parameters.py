"""The values of a query's parameters, on its span, as `db.query.parameter.<key>`: only where the
environment asks for them, since they are what people store.

As OpenTelemetry's conventions have it, a key is a parameter's name or its place, from 0 on, a value
is text, and of many sets of parameters at once none is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded
from asynchooks.tracing import captures_query_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from asynchooks.libraries.calls import Begin
    from asynchooks.tracing import Span

    # From the arguments of a call to the parameters of its query.
    Parameters = Callable[..., object]

__all__ = ("Parameters", "capturing", "second_argument")

_MAXIMUM_COUNT = 64
_MAXIMUM_LENGTH = 256  # characters of a value


def capturing(begin: Begin, parameters: Parameters) -> Begin:
    """`begin`, whose spans also have what `parameters` finds in the same arguments; as it is, where
    nobody asks for that: then it costs nothing."""
    if not captures_query_parameters():
        return begin

    def begin_with_parameters(*args: Any, **kwargs: Any) -> Span | None:
        span = begin(*args, **kwargs)
        if span is not None:
            guarded(begin, _add, span, parameters, args, kwargs)
        return span

    return begin_with_parameters


def second_argument(
    owner: object,
    query: object = None,
    parameters: object = None,
    *rest: object,
    **named: object,
) -> object:
    """Where most drivers take them."""
    if parameters is None:
        return next((named[name] for name in ("params", "vars", "args") if name in named), None)
    return parameters


def _add(span: Span, parameters: Parameters, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    found = parameters(*args, **kwargs)
    pairs: Iterable[tuple[object, object]]
    if isinstance(found, Mapping):
        pairs = found.items()
    elif isinstance(found, (list, tuple)):
        pairs = enumerate(found)
    else:
        return
    for key, value in islice(pairs, _MAXIMUM_COUNT):
        span.set_attribute(f"db.query.parameter.{key}", _text(value))


def _text(value: object) -> str:
    if isinstance(value, (str, bytes, bytearray)):
        value = value[:_MAXIMUM_LENGTH]  # before a copy is made of all of it
    return str(value)[:_MAXIMUM_LENGTH]

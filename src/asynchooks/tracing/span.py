"""A span: one thing that was done on behalf of a request, with its times and its cause.

The spans themselves are the C core's; here are the values that they are seen through. Method names
and rules are OpenTelemetry's (its trace API specification).
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from asynchooks import _native
from asynchooks._native import Span
from asynchooks.tracing.callsite import call_site_attributes

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = (
    "AttributeValue",
    "Event",
    "Link",
    "Span",
    "SpanContext",
    "SpanKind",
    "StatusCode",
    "exception_attributes",
    "release",
    "set_gate",
    "set_sink",
)

AttributeValue: TypeAlias = (
    str | bool | int | float | bytes | Sequence[str] | Sequence[int] | Sequence[float]
)

# As long as a value may be: a longer stack trace loses its beginning, not its end.
MAXIMUM_STACKTRACE = 16 * 1024


class SpanKind(IntEnum):
    """Which side of a call a span is; the numbers are OTLP's."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class StatusCode(IntEnum):
    """How a span ended; the numbers are OTLP's."""

    UNSET = 0
    OK = 1
    ERROR = 2


class SpanContext(NamedTuple):
    """What identifies a span, also in another process."""

    trace_id: int
    span_id: int
    trace_flags: int = 1
    trace_state: str = ""
    is_remote: bool = False


class Event(NamedTuple):
    """Something that happened at one moment of a span. `timestamp` is in ns since the epoch."""

    name: str
    timestamp: int
    attributes: dict[str, AttributeValue]


class Link(NamedTuple):
    """A span that this one is related to, but not below."""

    context: SpanContext
    attributes: dict[str, AttributeValue]


def set_sink(sink: Callable[[Span], object] | None) -> None:
    """Call `sink` with every span that ends, in the thread where it ends, also while nothing is
    exported. None: nobody. What it raises goes to `sys.unraisablehook`."""
    _native.set_span_sink(sink)


def set_gate(gate: Callable[[Span], object] | None) -> None:
    """Have every span that ends go to `gate`, in the thread where it ends, instead of being
    exported. It may `release` the span, then or later. None: spans are exported when they end,
    and nothing is asked."""
    _native.set_span_gate(gate)


def release(span: Span) -> None:
    """Export a span that a gate was given."""
    _native.release_span(span)


def exception_attributes(exception: BaseException) -> dict[str, AttributeValue]:
    """OpenTelemetry's attributes of the event that an exception is recorded as."""
    return {
        "exception.type": _qualified_name(type(exception)),
        "exception.message": _safe_str(exception),
        "exception.stacktrace": "".join(traceback.format_exception(exception))[
            -MAXIMUM_STACKTRACE:
        ],
    }


def _describe_exception(
    exception: BaseException,
) -> tuple[str, str, dict[str, AttributeValue]]:
    attributes = exception_attributes(exception)
    return (str(attributes["exception.type"]), str(attributes["exception.message"]), attributes)


def _qualified_name(cls: type) -> str:
    module = cls.__module__
    return cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"


def _safe_str(exception: BaseException) -> str:
    try:
        return str(exception)
    except Exception:
        return f"<{type(exception).__name__} whose str() fails>"


_native.set_span_faces(
    context=SpanContext,
    event=Event,
    link=Link,
    kinds=(SpanKind.INTERNAL, *SpanKind),  # 0 is OTLP's "unspecified"
    statuses=tuple(StatusCode),
    exception=_describe_exception,
    site=call_site_attributes,
)

"""The trace and its baggage in headers: taken from a request, sent on with a call.

In the formats of `OTEL_PROPAGATORS`, by default W3C Trace Context (level 2) and W3C Baggage.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from asynchooks.tracing import b3
from asynchooks.tracing.baggage import current_baggage, format_baggage, parse_baggage
from asynchooks.tracing.scope import NO_BAGGAGE
from asynchooks.tracing.span import SpanContext

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    # From the lower-case name of a header to its value, or "".
    Get = Callable[[str], str]

__all__ = (
    "DEFAULT_PROPAGATORS",
    "PROPAGATORS",
    "extract",
    "extract_traceparent",
    "format_traceparent",
    "inject",
    "set_propagators",
)

_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace_id>[0-9a-f]{32})-(?P<span_id>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?",
    re.ASCII,
)
# What the specification asks a receiver to carry at least.
_MAXIMUM_TRACESTATE = 512


def extract(get: Get) -> tuple[SpanContext | None, Mapping[str, str]]:
    """The caller's span, or None, and its baggage. Where several formats name a span, the one that
    comes last in `OTEL_PROPAGATORS` does."""
    context = None
    baggage = NO_BAGGAGE
    for propagator in _propagators:
        context = propagator.extract(get) or context
        baggage = propagator.extract_baggage(get) or baggage
    return context, baggage


def inject(context: SpanContext) -> dict[str, str]:
    """The headers that make `context` the parent of what their receiver does, and that carry the
    baggage of what runs here."""
    headers: dict[str, str] = {}
    baggage = current_baggage()
    for propagator in _propagators:
        headers.update(propagator.inject(context))
        if baggage:
            headers.update(propagator.inject_baggage(baggage))
    return headers


def extract_traceparent(traceparent: str, tracestate: str = "") -> SpanContext | None:
    """The caller's span, or None where the header is not a valid one."""
    match = _TRACEPARENT.fullmatch(traceparent.strip(" \t"))
    if match is None or match["version"] == "ff":
        return None
    if match["version"] == "00" and match["rest"] is not None:
        return None
    trace_id = int(match["trace_id"], 16)
    span_id = int(match["span_id"], 16)
    if trace_id == 0 or span_id == 0:
        return None
    state = tracestate.strip(" \t")
    return SpanContext(
        trace_id,
        span_id,
        int(match["flags"], 16),
        state if len(state) <= _MAXIMUM_TRACESTATE else "",
        is_remote=True,
    )


def format_traceparent(context: SpanContext) -> str:
    """The header that makes `context` the parent of what its receiver does."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 3:02x}"


def _extract_trace_context(get: Get) -> SpanContext | None:
    return extract_traceparent(get("traceparent"), get("tracestate"))


def _format_trace_context(context: SpanContext) -> dict[str, str]:
    headers = {"traceparent": format_traceparent(context)}
    if context.trace_state:
        headers["tracestate"] = context.trace_state
    return headers


def _format_baggage(baggage: Mapping[str, Any]) -> dict[str, str]:
    header = format_baggage(baggage)
    return {"baggage": header} if header else {}


class _Propagator(NamedTuple):
    """One format: of a trace, or of baggage."""

    extract: Callable[[Get], SpanContext | None] = lambda get: None
    inject: Callable[[SpanContext], Mapping[str, str]] = lambda context: {}
    extract_baggage: Callable[[Get], Mapping[str, str]] = lambda get: NO_BAGGAGE
    inject_baggage: Callable[[Mapping[str, Any]], Mapping[str, str]] = lambda baggage: {}


# By OpenTelemetry's names.
PROPAGATORS: dict[str, _Propagator] = {
    "tracecontext": _Propagator(_extract_trace_context, _format_trace_context),
    "baggage": _Propagator(
        extract_baggage=lambda get: parse_baggage(get("baggage")), inject_baggage=_format_baggage
    ),
    "b3": _Propagator(
        lambda get: b3.extract_single(get) or b3.extract_multiple(get), b3.format_single
    ),
    "b3multi": _Propagator(
        lambda get: b3.extract_single(get) or b3.extract_multiple(get), b3.format_multiple
    ),
}
DEFAULT_PROPAGATORS = ("tracecontext", "baggage")

_propagators: tuple[_Propagator, ...] = tuple(PROPAGATORS[name] for name in DEFAULT_PROPAGATORS)


def set_propagators(names: Sequence[str]) -> None:
    """Use the formats of these names from now on."""
    global _propagators
    _propagators = tuple(PROPAGATORS[name] for name in names)

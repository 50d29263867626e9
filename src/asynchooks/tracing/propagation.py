"""W3C Trace Context (level 2): `traceparent` and `tracestate`, in and out."""

from __future__ import annotations

import re

from asynchooks.tracing.span import SpanContext

__all__ = ("extract_traceparent", "format_traceparent")

_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace_id>[0-9a-f]{32})-(?P<span_id>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?",
    re.ASCII,
)
# What the specification asks a receiver to carry at least.
_MAXIMUM_TRACESTATE = 512


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

"""Zipkin's B3 headers, in their single and their multiple form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from asynchooks.tracing.span import SpanContext

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("extract_multiple", "extract_single", "format_multiple", "format_single")

_TRACE_ID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{16}", re.ASCII)
_SPAN_ID = re.compile(r"[0-9a-fA-F]{16}", re.ASCII)
# `d` is debug: sampled, and more. Left out, the receiver is to decide; it then is not sampled by
# its parent, as in OpenTelemetry.
_SAMPLED = frozenset(("1", "d", "true", "True"))


def extract_single(get: Callable[[str], str]) -> SpanContext | None:
    """The caller's span from `b3: {trace}-{span}-{sampled}-{parent}`."""
    trace_id, _, rest = get("b3").strip(" \t").partition("-")
    span_id, _, rest = rest.partition("-")
    return _context(trace_id, span_id, rest.partition("-")[0] in _SAMPLED)


def extract_multiple(get: Callable[[str], str]) -> SpanContext | None:
    """The caller's span from `x-b3-traceid` and its companions."""
    is_sampled = get("x-b3-sampled") in _SAMPLED or get("x-b3-flags") == "1"
    return _context(get("x-b3-traceid"), get("x-b3-spanid"), is_sampled)


def format_single(context: SpanContext) -> dict[str, str]:
    """The header `b3`."""
    return {
        "b3": f"{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1}",
    }


def format_multiple(context: SpanContext) -> dict[str, str]:
    """The headers `x-b3-*`."""
    return {
        "x-b3-traceid": f"{context.trace_id:032x}",
        "x-b3-spanid": f"{context.span_id:016x}",
        "x-b3-sampled": str(context.trace_flags & 1),
    }


def _context(trace_id: str, span_id: str, is_sampled: bool) -> SpanContext | None:
    if _TRACE_ID.fullmatch(trace_id) is None or _SPAN_ID.fullmatch(span_id) is None:
        return None
    trace, span = int(trace_id, 16), int(span_id, 16)
    if trace == 0 or span == 0:
        return None
    return SpanContext(trace, span, int(is_sampled), is_remote=True)

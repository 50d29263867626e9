"""What a log line is told of where it was written, alike for every logger."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asynchooks.tracing import Span

__all__ = ("IDS", "OUTSIDE", "PassedOn", "ids_of")

IDS = ("request_id", "trace_id", "span_id")
# Every id outside of any request, for formats that name them.
OUTSIDE = "-"


class PassedOn(str):
    """An id of ours that a line has which is still to be recorded."""

    __slots__ = ()


def ids_of(span: Span | None) -> dict[str, str]:
    """`request_id`, `trace_id` and `span_id` of what runs for this span."""
    if span is None:
        return dict.fromkeys(IDS, OUTSIDE)
    return {
        "request_id": span.request.id if span.request is not None else OUTSIDE,
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
    }

"""What a log line is told of where it was written, alike for every logger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.tracing import current_span, is_suppressed

if TYPE_CHECKING:
    from asynchooks.tracing import Span

__all__ = ("OUTSIDE", "PassedOn", "add_log_event", "ids_of")

# Every id outside of any request, for formats that name them.
OUTSIDE = "-"


class PassedOn(str):
    """An id that a line has from a logger in front of logging, which still is to record it."""

    __slots__ = ()


def ids_of(span: Span | None) -> dict[str, str]:
    """`request_id`, `trace_id` and `span_id` of what runs for this span."""
    if span is None:
        return dict.fromkeys(("request_id", "trace_id", "span_id"), OUTSIDE)
    return {
        "request_id": span.request.id if span.request is not None else OUTSIDE,
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
    }


def add_log_event(
    message: str,
    *,
    severity: str,
    logger: str,
    exception: BaseException | None = None,
    timestamp: int | None = None,
    **attributes: Any,
) -> None:
    """Make a log line an event of the span it was written in; `timestamp` in ns since the epoch."""
    span = current_span()
    if span is None or is_suppressed():
        return
    if exception is not None:
        attributes["exception.type"] = type(exception).__qualname__
        attributes["exception.message"] = str(exception)
    known = {"log.message": message, "log.severity": severity, "log.logger": logger}
    span.add_event("log", {**known, **attributes}, timestamp)

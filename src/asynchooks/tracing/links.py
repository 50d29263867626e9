"""Links (`asynchooks.link`, `asynchooks.shared`) as links between spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks import holders, links
from asynchooks.tracing.current import current_span, span_in, task_spans, use_span
from asynchooks.tracing.request import request_of_root
from asynchooks.tracing.span import Span

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Coroutine

__all__ = ("install", "uninstall")


def install() -> None:
    """Link spans from now on."""
    links.trace_with(_Tracer())
    holders.judge_roots_with(_has_ended)


def uninstall() -> None:
    """Link no more."""
    links.trace_with(None)
    holders.judge_roots_with(None)


class _Tracer:
    def link(self, cause: int, context: contextvars.Context | None) -> None:
        span = current_span()
        other = _span_of(cause, context)
        if span is not None and other is not None and other is not span:
            span.add_link(other.context)

    def share(self, name: str) -> _SharedSpan:
        return _SharedSpan(name)


class _SharedSpan:
    """Shared work: a trace of its own, linked to those of all who wait for it."""

    def __init__(self, name: str) -> None:
        self._span = Span(f"shared {name}", parent=None, call_site=True)

    def joined(self) -> None:
        span = current_span()
        if span is not None:
            self._span.add_link(span.context)

    async def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        with use_span(self._span):
            try:
                return await work
            except Exception as exc:
                self._span.record_exception(exc)
                raise
            finally:
                self._span.end()


def _span_of(async_id: int, context: contextvars.Context | None) -> Span | None:
    own = task_spans.get(async_id)
    if own is not None:
        return own[0]
    span = span_in(context) if context is not None else None
    if span is None:
        request = request_of_root(async_id)
        span = request.span if request is not None else None
    return span


def _has_ended(root: int) -> bool | None:
    request = request_of_root(root)
    return request.span.end_time is not None if request is not None else None

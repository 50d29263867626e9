"""Which span is current here, and starting one below it."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING

from asynchooks import _native

if TYPE_CHECKING:
    from types import TracebackType

    from asynchooks.tracing.span import Span

__all__ = ("current_span", "is_suppressed", "start_span", "suppress_tracing", "use_span")

_current: contextvars.ContextVar[Span | None] = contextvars.ContextVar(
    "asynchooks.current_span", default=None
)
_suppressed: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "asynchooks.suppressed", default=False
)

# By the async id of a task: its own span, and the span that its context held at birth. The task's
# context is never changed, so that nothing of ours shows in it; see current_span().
task_spans: dict[int, tuple[Span, Span]] = {}

_native.set_span_sources(_current, _suppressed, task_spans)


def context_span() -> Span | None:
    """The span that the contextvars context here holds, whatever task runs."""
    return _current.get()


# A task that still has the span it was born with runs for its own span; one that has entered a
# scope of its own since, for that.
current_span = _native.current_span
start_span = _native.start_span


def span_in(context: contextvars.Context) -> Span | None:
    """The span that another context holds."""
    return context.get(_current)


class use_span:
    """`with use_span(span):` makes `span` current inside. Leaving never raises, also where that
    happens in another context than entering did, and does not end the span."""

    __slots__ = ("_outer", "_span")

    def __init__(self, span: Span | None) -> None:
        self._span = span

    def __enter__(self) -> Span | None:
        self._outer = _current.get()
        _current.set(self._span)
        return self._span

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _current.set(self._outer)


class suppress_tracing:
    """`with suppress_tracing():` spans started inside are not recorded."""

    __slots__ = ("_outer",)

    def __enter__(self) -> None:
        self._outer = _suppressed.get()
        _suppressed.set(True)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _suppressed.set(self._outer)


def is_suppressed() -> bool:
    """Whether spans started here are not recorded."""
    return _suppressed.get()

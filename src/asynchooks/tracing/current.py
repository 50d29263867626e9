"""Which span is current here, and starting one below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks import _native
from asynchooks._native import current_span, recording_span, start_span, suppress_tracing
from asynchooks.tracing.scope import Scope, current_scope

if TYPE_CHECKING:
    from contextvars import Context

    from asynchooks.tracing.span import Span

__all__ = (
    "current_span",
    "is_suppressed",
    "recording_span",
    "span_in",
    "start_span",
    "suppress_tracing",
    "task_spans",
    "use_span",
)

# By the async id of a task: its own span, and the span that its context held at birth. The task's
# context is never changed, so that nothing of ours shows in it: a task that still has the span it
# was born with runs for its own span; one that has entered a scope of its own since, for that.
task_spans: dict[int, tuple[Span, Span]] = {}

_native.set_task_spans(task_spans)


def span_in(context: Context) -> Span | None:
    """The span that another context holds."""
    return _native.scope_in(context).span


class use_span(Scope):
    """`with use_span(span):` makes `span` current inside. Leaving does not end the span, and never
    raises, also where that happens in another context than entering did (see `Scope`)."""

    __slots__ = ()

    def __init__(self, span: Span | None) -> None:
        self.span = span

    def __enter__(self) -> Span | None:
        self.enter()
        return self.span


def is_suppressed() -> bool:
    """Whether spans started here are not recorded."""
    return current_scope().is_suppressed

"""Which span is current here, and starting one below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks.sites import find_call_site
from asynchooks.tracing.identifiers import new_span_id, new_trace_id
from asynchooks.tracing.non_recording import NonRecordingSpan
from asynchooks.tracing.sampling import is_sampled, should_sample
from asynchooks.tracing.scope import Scope, current_scope
from asynchooks.tracing.span import Span, SpanContext, SpanKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynchooks.tracing.request import Request
    from asynchooks.tracing.span import AttributeValue

__all__ = (
    "current_span",
    "is_suppressed",
    "recording_span",
    "start_span",
    "start_trace",
    "suppress_tracing",
    "use_span",
)

# By the async id of a task: its own span, and the span that its context held at birth. The task's
# context is never changed, so that nothing of ours shows in it; see current_span().
task_spans: dict[int, tuple[Span, Span]] = {}

_CURRENT: Any = object()


def context_span() -> Span | None:
    """The span that the contextvars context here holds, whatever task runs."""
    return current_scope().span


def current_span() -> Span | None:
    """The span that what runs here belongs to, or None.

    A task that still has the span it was born with runs for its own span; one that has entered a
    scope of its own since, for that.
    """
    span = current_scope().span
    if span is not None and task_spans:
        own = task_spans.get(_native.execution_async_id())
        if own is not None and own[1] is span:
            return own[0]
    return span


def recording_span() -> Span | None:
    """The span below which a span started here would be recorded, or None: outside of any, in a
    trace that is not sampled, and where tracing is suppressed. To be asked before anything is
    computed for a span."""
    span = current_span()
    if span is None or not is_sampled(span.context) or current_scope().is_suppressed:
        return None
    return span


def start_span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, AttributeValue] | None = None,
    parent: Span | SpanContext | None = _CURRENT,
    start_time: int | None = None,
    scope: tuple[str, str] | None = None,
) -> Span:
    """Start a span, below the current one, below `parent`, or, with None, in a new trace.

    It records the nearest line of the user's own code as where it was started. It does not become
    current; `use_span` does that. Whoever starts it ends it. `scope` is the name and version of
    the instrumentation that makes it, where that is not asynchooks.
    """
    if parent is _CURRENT:
        parent = current_span()
    request: Request | None = None
    context: SpanContext | None
    follows = is_recorded = False
    if isinstance(parent, Span):
        request, context = parent.request, parent.context
        follows = not context.is_remote
        is_recorded = is_sampled(context)
    else:
        context = parent
    if current_scope().is_suppressed or (follows and not is_recorded):
        return _child_of_nothing(context, request)
    make = Span if follows else start_trace
    span = make(
        name,
        kind=kind,
        parent=context,
        request=request,
        attributes=attributes,
        start_time=start_time,
        call_site=find_call_site(),
        scope=scope,
    )
    if isinstance(parent, Span) and parent.end_time is not None:
        # What goes on after the request, or after a task. Nobody waits for it.
        span.set_attribute("asynchooks.outlives_parent", True)
        span.add_link(parent.context)
    return span


def start_trace(
    name: str,
    *,
    parent: SpanContext | None,
    request: Request | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    **options: Any,
) -> Span:
    """Start the first span that a trace has in this process, if the trace is sampled."""
    recorded = parent and parent._replace(trace_flags=parent.trace_flags | 1)
    span = Span(name, parent=recorded, request=request, **options)
    if should_sample(parent, span.context.trace_id):
        if attributes:
            span.set_attributes(attributes)
        return span
    flags = span.context.trace_flags & ~1
    return NonRecordingSpan(span.context._replace(trace_flags=flags), request)


def _child_of_nothing(parent: SpanContext | None, request: Request | None) -> Span:
    if parent is None:
        return NonRecordingSpan(SpanContext(new_trace_id(), new_span_id(), 0), request)
    return NonRecordingSpan(parent._replace(span_id=new_span_id(), is_remote=False), request)


class use_span(Scope):
    """`with use_span(span):` makes `span` current inside. Leaving does not end the span, and never
    raises, also where that happens in another context than entering did (see `Scope`)."""

    __slots__ = ()

    def __init__(self, span: Span | None) -> None:
        super().__init__()
        self.inherit()
        self.span = span

    def __enter__(self) -> Span | None:
        self.enter()
        return self.span


class suppress_tracing(Scope):
    """`with suppress_tracing():` spans started inside are not recorded."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self.inherit()
        self.is_suppressed = True


def is_suppressed() -> bool:
    """Whether spans started here are not recorded."""
    return current_scope().is_suppressed

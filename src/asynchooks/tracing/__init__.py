"""Tracing: requests, and the spans that belong to them, from their start to OTLP."""

from __future__ import annotations

from asynchooks import _native
from asynchooks.tracing import links, tasks, termination
from asynchooks.tracing.config import Config
from asynchooks.tracing.current import (
    current_span,
    is_suppressed,
    start_span,
    suppress_tracing,
    use_span,
)
from asynchooks.tracing.destinations import make_destination
from asynchooks.tracing.exporter import Exporter, Stats
from asynchooks.tracing.propagation import extract_traceparent, format_traceparent
from asynchooks.tracing.request import Request, current_request, request_of_root, start_request
from asynchooks.tracing.span import (
    Event,
    Link,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    set_sink,
)
from asynchooks.tracing.tasks import record_tasks

__all__ = (
    "Event",
    "Link",
    "Request",
    "Span",
    "SpanContext",
    "SpanKind",
    "StatusCode",
    "current_request",
    "current_span",
    "extract_traceparent",
    "flush",
    "format_traceparent",
    "install",
    "is_suppressed",
    "record_tasks",
    "request_of_root",
    "set_sink",
    "start_request",
    "start_span",
    "stats",
    "suppress_tracing",
    "uninstall",
    "use_span",
)

_exporter: Exporter | None = None


def install() -> None:
    """Export spans from now on to where the environment says, and make spans of tasks."""
    global _exporter
    if _exporter is None:
        config = Config.from_environment()
        destination = make_destination(config)
        _native.set_span_limits(**config.limits)
        if destination is not None:
            _exporter = Exporter(config, destination)
            termination.install()
    tasks.install()
    links.install()


def uninstall() -> None:
    """Send what waits, for at most 2 seconds, and record nothing more."""
    global _exporter
    links.uninstall()
    tasks.uninstall()
    if _exporter is not None:
        _exporter.shutdown()
        _native.set_span_buffer(None)
        termination.uninstall()
        _exporter = None


def flush(timeout: float = 2.0) -> bool:
    """Send what waits, for at most `timeout` seconds. Returns whether all was sent or dropped."""
    return _exporter is None or _exporter.flush(timeout)


def stats() -> Stats:
    """How many spans of this process have ended, were sent and were dropped."""
    return _exporter.stats() if _exporter is not None else Stats(0, 0, 0, 0)

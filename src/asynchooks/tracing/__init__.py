"""Tracing: requests, and the spans that belong to them, from their start to OTLP."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from asynchooks import _native
from asynchooks.tracing import links, tasks, termination
from asynchooks.tracing.baggage import current_baggage, use_baggage
from asynchooks.tracing.config import Config, disabled_instrumentations
from asynchooks.tracing.current import (
    current_span,
    is_suppressed,
    recording_span,
    start_span,
    suppress_tracing,
    use_span,
)
from asynchooks.tracing.destinations import make_destination
from asynchooks.tracing.exporter import Exporter, Stats
from asynchooks.tracing.logs import add_log_line, is_log_wanted
from asynchooks.tracing.propagation import (
    extract,
    extract_traceparent,
    format_traceparent,
    inject,
    set_propagators,
)
from asynchooks.tracing.request import (
    Request,
    current_request,
    request_of_root,
    start_request,
    use_request,
)
from asynchooks.tracing.sampling import (
    DEFAULT_SAMPLER,
    RateLimit,
    always_off,
    always_on,
    is_sampled,
    limited,
    set_sampler,
)
from asynchooks.tracing.signals import LOGS, TRACES
from asynchooks.tracing.span import (
    Event,
    Link,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    release,
    set_gate,
    set_sink,
)
from asynchooks.tracing.tail import TailSampler
from asynchooks.tracing.tasks import record_tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynchooks.tracing.signals import Signal

__all__ = (
    "DEFAULT_SAMPLER",
    "Event",
    "Link",
    "RateLimit",
    "Request",
    "Span",
    "SpanContext",
    "SpanKind",
    "StatusCode",
    "TailSampler",
    "add_log_line",
    "always_off",
    "always_on",
    "captured_headers",
    "captures_query_parameters",
    "current_baggage",
    "current_request",
    "current_span",
    "disabled_instrumentations",
    "export_to",
    "extract",
    "extract_traceparent",
    "flush",
    "format_traceparent",
    "inject",
    "install",
    "is_disabled",
    "is_log_wanted",
    "is_sampled",
    "is_suppressed",
    "log_stats",
    "record_tasks",
    "recording_span",
    "request_of_root",
    "set_gate",
    "set_propagators",
    "set_sampler",
    "set_sink",
    "start_request",
    "start_span",
    "stats",
    "suppress_tracing",
    "uninstall",
    "use_baggage",
    "use_request",
    "use_span",
)

_config = Config(endpoint=None)
_exporters: dict[str, Exporter] = {}  # by the name of their signal
_is_installed = False


def install() -> None:
    """Record as the environment says, export to where it says, and make spans of tasks."""
    global _config, _is_installed
    if not _is_installed:
        _is_installed = True
        _config = Config.from_environment()
        _apply(_config)
        for export in (_config, _config.logs):
            destination = make_destination(export)
            if destination is not None:
                _exporters[export.signal.name] = Exporter(_config, destination, export)
        if _exporters:
            termination.install()
        export_to(None)
    tasks.install()
    links.install()


def uninstall() -> None:
    """Send what waits, for at most 2 seconds, and record nothing more."""
    global _config, _is_installed
    links.uninstall()
    tasks.uninstall()
    set_gate(None)
    flush()
    for exporter in _exporters.values():
        exporter.shutdown()
    for signal in (TRACES, LOGS):
        signal.set_buffer(None)
    termination.uninstall()
    _exporters.clear()
    _config = Config(endpoint=None)
    _apply(_config)
    _is_installed = False


def export_to(export: Callable[[Span], object] | None) -> None:
    """Hand the spans that are kept to `export` instead of sending them. None: send them."""
    if _config.tail_keep_one_in is not None:
        rate = _config.traces_per_second
        export = TailSampler(
            export or release,
            keep_one_in=_config.tail_keep_one_in,
            slow=_config.tail_slow,
            limit=None if rate is None else RateLimit(rate),
        ).submit
    set_gate(export)


def is_disabled() -> bool:
    """Whether `OTEL_SDK_DISABLED` says that nothing is to be recorded."""
    return _config.is_disabled


def captured_headers(kind: str) -> frozenset[str]:
    """The headers whose values are recorded, by their names in lower case. `kind` is
    "server_request", "server_response", "client_request" or "client_response"."""
    return _config.captured_headers.get(kind, frozenset())


def captures_query_parameters() -> bool:
    """Whether the values of queries' parameters are recorded."""
    return _config.captures_query_parameters


def flush(timeout: float = 2.0) -> bool:
    """Send what waits, for at most `timeout` seconds. Returns whether all was sent or dropped."""
    deadline = time.monotonic() + timeout
    flushes = [exporter.start_flush() for exporter in _exporters.values()]
    return all(done.wait(max(deadline - time.monotonic(), 0)) for done in flushes)


def stats() -> Stats:
    """How many spans of this process have ended, were sent and were dropped."""
    return _stats_of(TRACES)


def log_stats() -> Stats:
    """The same of log records."""
    return _stats_of(LOGS)


def _stats_of(signal: Signal) -> Stats:
    exporter = _exporters.get(signal.name)
    return exporter.stats() if exporter is not None else Stats(0, 0, 0, 0)


def _apply(config: Config) -> None:
    _native.set_span_limits(**config.limits)
    set_propagators(config.propagators)
    sampler = always_off if config.is_disabled else config.sampler
    if config.traces_per_second is not None and config.tail_keep_one_in is None:
        sampler = limited(sampler, RateLimit(config.traces_per_second))
    set_sampler(sampler)

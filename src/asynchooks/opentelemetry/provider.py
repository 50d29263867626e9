"""The API's tracers, making spans of ours for as long as the application sets no provider.

The API's own proxies stay where they are, and make our spans: an application or a framework that
looks whether a provider is set sees what it would see without us.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from asynchooks._reporting import report_once
from asynchooks.opentelemetry.runtime import SpanScope
from asynchooks.opentelemetry.spans import (
    ApiSpan,
    clean_attributes,
    our_kind,
    our_span,
    scope_of,
)
from asynchooks.tracing import Span, current_span, flush, start_span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from opentelemetry.context import Context

    from asynchooks._patching import Patches

__all__ = ("Tracer", "TracerProvider", "install")


def install(patches: Patches) -> None:
    """Have the tracers that `opentelemetry.trace.get_tracer` gives, or gave, make spans of ours."""
    patches.wrap(trace.ProxyTracer, "_tracer", _make_tracer)
    patches.wrap(trace.ProxyTracer, "start_as_current_span", _make_start_as_current)


def _make_tracer(original: Any) -> Any:
    def _tracer(self: Any) -> trace.Tracer:
        if trace._TRACER_PROVIDER is None:
            return _tracer_of(self._instrumenting_module_name, self._instrumenting_library_version)
        tracer: trace.Tracer = original.fget(self)
        return tracer

    return property(_tracer)


def _make_start_as_current(original: Any) -> Any:
    @functools.wraps(original)
    def start_as_current_span(self: trace.Tracer, *args: Any, **options: Any) -> Any:
        if trace._TRACER_PROVIDER is None:
            return _CurrentSpan(self, args, options)
        return original(self, *args, **options)

    return start_as_current_span


class TracerProvider(trace.TracerProvider):
    """Gives tracers that make spans of ours, to whoever wants a provider for that: an
    instrumentation, or `OTEL_PYTHON_TRACER_PROVIDER=asynchooks`."""

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> trace.Tracer:
        return _tracer_of(instrumenting_module_name, instrumenting_library_version)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As an SDK's provider has it."""
        return flush(timeout_millis / 1000)


@functools.lru_cache(maxsize=1024)
def _tracer_of(name: str | None, version: str | None) -> Tracer:
    if not name:
        report_once("opentelemetry.tracer", "get_tracer() is called without a name")
    return Tracer(name or "", version or "")


class Tracer(trace.Tracer):
    """Makes spans of ours."""

    def __init__(self, name: str, version: str) -> None:
        self._scope = scope_of(name, version)

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[trace.Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        parent = current = current_span()
        if context is not None:
            parent = our_span(context, current)
            if kind is trace.SpanKind.SERVER and _is_our_request(parent, current):
                parent, kind = current, trace.SpanKind.INTERNAL
        span = start_span(
            str(name),
            kind=our_kind(kind),
            parent=parent,
            start_time=start_time,
            scope=self._scope,
        )
        if span is parent:  # not sampled: the API wants each to have an id of its own
            span = Span(str(name), parent=parent, request=parent.request)
        api_span = ApiSpan(
            span, records_exception=record_exception, sets_status=set_status_on_exception
        )
        if span.is_recording():
            if attributes:
                span.set_attributes(clean_attributes(attributes))
            for link in links or ():
                api_span.add_link(link.context, link.attributes)
        return api_span

    def start_as_current_span(self, *args: Any, **options: Any) -> Any:
        """As the API's: for `with`, and as a decorator, also of a coroutine function."""
        return _CurrentSpan(self, args, options)


def _is_our_request(parent: Span | None, current: Span | None) -> bool:
    """Whether a framework's server span, below what it has read in the headers, is of the request
    that has one of ours already. It goes below that then: a request is served once."""
    return (
        current is not None
        and current.request is not None
        and (parent is None or parent.context.trace_id == current.context.trace_id)
    )


class _CurrentSpan:
    """A span that is current inside of the block, or during each call of the function."""

    __slots__ = ("_arguments", "_ends", "_options", "_scope", "_span", "_tracer")

    def __init__(self, tracer: trace.Tracer, arguments: tuple[Any, ...], options: Any) -> None:
        self._tracer = tracer
        self._arguments = arguments
        self._options = options

    def __enter__(self) -> trace.Span:
        # `end_on_exit` is the one argument that start_span() has not: its ninth.
        options = self._options
        self._ends = options.get("end_on_exit", self._arguments[8:] != (False,))
        options = {name: value for name, value in options.items() if name != "end_on_exit"}
        span = self._tracer.start_span(*self._arguments[:8], **options)
        self._span = span
        if isinstance(span, ApiSpan):
            self._scope: Any = SpanScope(span.span, span)
        else:  # the application has set a provider since this was made
            self._scope = trace.use_span(span)
        self._scope.__enter__()
        return span

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        span = self._span
        try:
            self._scope.__exit__(exc_type, exc, traceback)
            if isinstance(exc, Exception) and isinstance(span, ApiSpan):
                span.fail(exc)
        finally:
            if self._ends:
                span.end()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    return await function(*args, **kwargs)

            return call_async

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return call

    def _again(self) -> Any:
        return self._tracer.start_as_current_span(*self._arguments, **self._options)

"""Our spans in the SDK that the application has set up: to its processors, and nowhere else."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from asynchooks import tracing
from asynchooks._reporting import report_once
from asynchooks.opentelemetry.spans import api_context, name_and_version
from asynchooks.tracing.callsite import call_site_attributes

if TYPE_CHECKING:
    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

__all__ = ("install",)


def install(patches: Patches) -> None:
    """Feed the SDK's provider, if the application has set one or when it does."""
    patches.wrap(trace, "_set_tracer_provider", _make_set)
    _feed(trace._TRACER_PROVIDER)


def _make_set(original: Any) -> Any:
    @functools.wraps(original)
    def _set_tracer_provider(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        _feed(trace._TRACER_PROVIDER)

    return _set_tracer_provider


def _feed(provider: Any) -> None:
    # Not by its class: the SDK must not be imported for that. A provider without processors that
    # we know how to feed (another vendor's) is left to itself, and our spans go where they went.
    if hasattr(provider, "_active_span_processor") and hasattr(provider, "resource"):
        tracing.export_to(_Feed(provider).submit)


class _Feed:
    """Hands spans that have ended to the processors of a provider. They hear of no start: what
    they would change in a span then, ours has not."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def submit(self, span: Span) -> None:
        """Called by the thread in which the span ends, as the SDK does for its own."""
        try:
            self._provider._active_span_processor.on_end(_readable(span, self._provider.resource))
        except Exception:
            report_once(
                "opentelemetry.sdk",
                "asynchooks could not hand a span to the OpenTelemetry SDK",
                exc_info=True,
            )


def _readable(span: Span, resource: Any) -> Any:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    attributes: dict[str, Any] = dict(span.attributes)
    if span.call_site is not None:
        attributes = {**call_site_attributes(span.call_site), **attributes}
    name, version = name_and_version(span.scope)
    return ReadableSpan(
        name=span.name,
        context=api_context(span.context),
        parent=None if span.parent is None else api_context(span.parent),
        resource=resource,
        attributes=attributes,
        events=[
            Event(event.name, dict(event.attributes), event.timestamp) for event in span.events
        ],
        links=[trace.Link(api_context(link.context), link.attributes) for link in span.links],
        kind=trace.SpanKind(span.kind - 1),
        status=trace.Status(
            trace.StatusCode(int(span.status_code)), span.status_description or None
        ),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=InstrumentationScope(name, version),
    )

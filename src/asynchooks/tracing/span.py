"""A span: one thing that was done on behalf of a request, with its times and its cause.

Method names and rules are OpenTelemetry's (its trace API specification).
"""

from __future__ import annotations

import time
import traceback
from enum import IntEnum
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from asynchooks.tracing.identifiers import new_span_id, new_trace_id
from asynchooks.tracing.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asynchooks.sites import CallSite
    from asynchooks.tracing.limits import Limits
    from asynchooks.tracing.request import Request

    AttributeValue = str | bool | int | float | Sequence[str] | Sequence[int] | Sequence[float]

__all__ = (
    "Event",
    "Link",
    "Span",
    "SpanContext",
    "SpanKind",
    "StatusCode",
    "set_limits",
    "set_sink",
)


class SpanKind(IntEnum):
    """Which side of a call a span is; the numbers are OTLP's."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class StatusCode(IntEnum):
    """How a span ended; the numbers are OTLP's."""

    UNSET = 0
    OK = 1
    ERROR = 2


class SpanContext(NamedTuple):
    """What identifies a span, also in another process."""

    trace_id: int
    span_id: int
    trace_flags: int = 1
    trace_state: str = ""
    is_remote: bool = False


class Event(NamedTuple):
    """Something that happened at one moment of a span. `timestamp` is in ns since the epoch."""

    name: str
    timestamp: int
    attributes: dict[str, AttributeValue]


class Link(NamedTuple):
    """A span that this one is related to, but not below."""

    context: SpanContext
    attributes: dict[str, AttributeValue]


_limits = DEFAULT_LIMITS


def set_limits(limits: Limits) -> None:
    """How much a span may hold, from now on."""
    global _limits
    _limits = limits


def _drop(span: Span) -> None:
    """Where ended spans go while nothing exports them."""


_sink: Callable[[Span], None] = _drop


def set_sink(sink: Callable[[Span], None] | None) -> None:
    """Hand every span that ends to `sink`, in the thread where it ends. None: to nobody."""
    global _sink
    _sink = sink if sink is not None else _drop


class Span:
    """One span. Made by `start_span`; any thread may use it, one at a time."""

    __slots__ = (
        "attributes",
        "call_site",
        "context",
        "dropped_attributes",
        "dropped_events",
        "dropped_links",
        "end_time",
        "events",
        "kind",
        "links",
        "name",
        "parent",
        "request",
        "scope",
        "start_time",
        "status_code",
        "status_description",
    )

    def __init__(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: SpanContext | None = None,
        request: Request | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        start_time: int | None = None,
        call_site: CallSite | None = None,
        scope: tuple[str, str] | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.parent = parent
        self.request = request
        if parent is None:
            self.context = SpanContext(new_trace_id(), new_span_id())
        else:
            self.context = SpanContext(
                parent.trace_id, new_span_id(), parent.trace_flags, parent.trace_state
            )
        self.start_time = time.time_ns() if start_time is None else start_time
        self.end_time: int | None = None
        self.attributes: dict[str, AttributeValue] = {}
        self.events: list[Event] = []
        self.links: list[Link] = []
        self.dropped_attributes = 0
        self.dropped_events = 0
        self.dropped_links = 0
        self.status_code = StatusCode.UNSET
        self.status_description = ""
        self.call_site = call_site
        self.scope = scope
        if attributes:
            self.set_attributes(attributes)

    def __repr__(self) -> str:
        state = "open" if self.end_time is None else "ended"
        return f"<Span {self.name!r} {self.context.span_id:016x} {state}>"

    def is_recording(self) -> bool:
        """Whether what is set still is recorded: until the span ends."""
        return self.end_time is None

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set one attribute. A string that is too long is cut; one key too many is counted as
        dropped. Nothing happens after the end."""
        if self.end_time is not None:
            return
        attributes = self.attributes
        if len(attributes) >= _limits.attributes and key not in attributes:
            self.dropped_attributes += 1
            return
        attributes[key] = _cut(value)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set several attributes."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(
        self,
        name: str,
        attributes: Mapping[str, AttributeValue] | None = None,
        timestamp: int | None = None,
    ) -> None:
        """Record that something happened, at `timestamp` (ns since the epoch) or now.

        After the end, when the span may have been sent already, the event comes as a child span
        of no length, so that it is not lost.
        """
        if timestamp is None:
            timestamp = time.time_ns()
        event = Event(name, timestamp, _limited(attributes, _limits.event_attributes))
        if self.end_time is not None:
            late = Span(name, parent=self.context, request=self.request, start_time=timestamp)
            late.attributes["asynchooks.late"] = True
            late.events.append(event)
            late.end(timestamp)
        elif len(self.events) < _limits.events:
            self.events.append(event)
        else:
            self.dropped_events += 1

    def add_link(
        self, context: SpanContext, attributes: Mapping[str, AttributeValue] | None = None
    ) -> None:
        """Relate this span to another that is not its parent."""
        if self.end_time is not None:
            return
        if len(self.links) < _limits.links:
            self.links.append(Link(context, _limited(attributes, _limits.link_attributes)))
        else:
            self.dropped_links += 1

    def record_exception(self, exception: BaseException) -> None:
        """Record `exception` as the reason why this span failed."""
        if self.end_time is not None:
            return
        name = _qualified_name(type(exception))
        self.add_event(
            "exception",
            {
                "exception.type": name,
                "exception.message": _safe_str(exception),
                "exception.stacktrace": "".join(traceback.format_exception(exception))[
                    -_limits.value_length :
                ],
            },
        )
        self.set_attribute("error.type", name)
        self.set_status(StatusCode.ERROR, _safe_str(exception))

    def set_status(self, code: StatusCode, description: str | None = None) -> None:
        """Say how the span went. OK is final; only an ERROR has a description."""
        if self.end_time is not None or self.status_code is StatusCode.OK:
            return
        self.status_code = code
        self.status_description = (description or "") if code is StatusCode.ERROR else ""

    def update_name(self, name: str) -> None:
        """Give the span another name."""
        if self.end_time is None:
            self.name = name

    def end(self, end_time: int | None = None) -> None:
        """End the span now, or at `end_time` (ns since the epoch), and hand it to the exporter.
        Only the first call does."""
        if self.end_time is not None:
            return
        self.end_time = time.time_ns() if end_time is None else end_time
        if self.request is not None:
            self.request.add_span(self)
        _sink(self)


def _cut(value: AttributeValue) -> AttributeValue:
    longest = _limits.value_length
    if isinstance(value, str):
        return value[:longest] if len(value) > longest else value
    if isinstance(value, list | tuple):
        return [v[:longest] if isinstance(v, str) else v for v in value]
    return value


def _limited(
    attributes: Mapping[str, AttributeValue] | None, count: int
) -> dict[str, AttributeValue]:
    """The first `count` of some attributes, and none of them too long."""
    return {key: _cut(value) for key, value in islice((attributes or {}).items(), count)}


def _qualified_name(cls: type) -> str:
    module = cls.__module__
    return cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"


def _safe_str(exception: BaseException) -> str:
    try:
        return str(exception)
    except Exception:
        return f"<{type(exception).__name__} whose str() fails>"

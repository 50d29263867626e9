"""Our spans as OpenTelemetry's API knows them, and the API's spans as ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from opentelemetry import trace
from opentelemetry.trace.propagation import _SPAN_KEY

import asynchooks
from asynchooks import _native
from asynchooks._reporting import report_once
from asynchooks.tracing import Span, SpanContext, SpanKind, StatusCode
from asynchooks.tracing.span import exception_attributes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from opentelemetry.context import Context

    from asynchooks.tracing import Request

__all__ = (
    "ApiSpan",
    "ForeignSpan",
    "api_context",
    "api_span",
    "clean_attributes",
    "name_and_version",
    "our_context",
    "our_kind",
    "our_span",
    "scope_of",
)


class ApiSpan(trace.Span):
    """A span of ours, with the methods of the API. Two of the same span are equal."""

    __slots__ = ("_context", "_records_exception", "_sets_status", "span")

    def __init__(
        self, span: Span, *, records_exception: bool = True, sets_status: bool = True
    ) -> None:
        self.span = span
        self._context: trace.SpanContext | None = None
        self._records_exception = records_exception
        self._sets_status = sets_status

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiSpan) and other.span is self.span

    def __hash__(self) -> int:
        return hash(id(self.span))

    def __repr__(self) -> str:
        return f"<ApiSpan of {self.span!r}>"

    # What instrumentations read, beyond the API, of an SDK's span.

    @property
    def name(self) -> str:
        return self.span.name

    @property
    def kind(self) -> trace.SpanKind:
        return trace.SpanKind(self.span.kind - 1)

    @property
    def attributes(self) -> Mapping[str, Any]:
        return self.span.attributes

    @property
    def context(self) -> trace.SpanContext:
        return self.get_span_context()

    @property
    def parent(self) -> trace.SpanContext | None:
        parent = self.span.parent
        return None if parent is None else api_context(parent)

    @property
    def status(self) -> trace.Status:
        return trace.Status(
            trace.StatusCode(int(self.span.status_code)), self.span.status_description or None
        )

    @property
    def start_time(self) -> int:
        return self.span.start_time

    @property
    def end_time(self) -> int | None:
        return self.span.end_time

    # The API.

    def get_span_context(self) -> trace.SpanContext:
        if self._context is None:
            self._context = api_context(self.span.context)
        return self._context

    def is_recording(self) -> bool:
        return self.span.is_recording()

    def set_attribute(self, key: str, value: Any) -> None:
        self.set_attributes({key: value})

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        if self.span.is_recording():
            self.span.set_attributes(clean_attributes(attributes))

    def add_event(
        self,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
    ) -> None:
        if self.span.is_recording():
            self.span.add_event(str(name), clean_attributes(attributes), timestamp)

    def add_link(
        self, context: trace.SpanContext, attributes: Mapping[str, Any] | None = None
    ) -> None:
        if context is not None and (context.is_valid or attributes or context.trace_state):
            self.span.add_link(our_context(context), clean_attributes(attributes))

    def update_name(self, name: str) -> None:
        self.span.update_name(str(name))

    def set_status(
        self, status: trace.Status | trace.StatusCode, description: str | None = None
    ) -> None:
        if isinstance(status, trace.Status):
            code, description = status.status_code, status.description
        else:
            code = status
        if isinstance(code, trace.StatusCode) and code is not trace.StatusCode.UNSET:
            self.span.set_status(StatusCode(code.value), description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        if not self.span.is_recording():
            return
        self.span.add_event(
            "exception",
            {
                **exception_attributes(exception),
                "exception.escaped": str(escaped),
                **clean_attributes(attributes),
            },
            timestamp,
        )

    def end(self, end_time: int | None = None) -> None:
        self.span.end(end_time)

    def fail(self, exception: BaseException) -> None:
        """Record, as far as the span is to, an exception that leaves the block of it."""
        if not self.span.is_recording():
            return
        if self._records_exception:
            self.record_exception(exception)
        if self._sets_status:
            self.set_status(trace.StatusCode.ERROR, f"{type(exception).__name__}: {exception}")

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if isinstance(exc_val, Exception):
            self.fail(exc_val)
        self.end()


class ForeignSpan(Span):
    """A span of the API that is not ours: a remote caller's, or one that an SDK records. What we
    start below it has it as its parent; an event for it goes to it."""

    __slots__ = ("api_span",)

    api_span: trace.Span

    def __new__(cls, span: trace.Span, request: Request | None) -> Self:
        context = our_context(span.get_span_context())
        self = super().__new__(cls, "", context=context, request=request)
        self.api_span = span
        return self

    def add_event(
        self,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
    ) -> None:
        self.api_span.add_event(name, attributes, timestamp)


def api_span(span: Span) -> trace.Span:
    """A span of ours for the API."""
    return span.api_span if isinstance(span, ForeignSpan) else ApiSpan(span)


def our_span(context: Context, outer: Span | None) -> Span | None:
    """The span that a context of the API holds. One that is not ours belongs to the request of
    `outer`, unless it comes from another process."""
    span = context.get(_SPAN_KEY)
    if isinstance(span, ApiSpan):
        return span.span
    if not isinstance(span, trace.Span) or not span.get_span_context().is_valid:
        return None
    is_remote = span.get_span_context().is_remote
    return ForeignSpan(span, None if is_remote or outer is None else outer.request)


def api_context(context: SpanContext) -> trace.SpanContext:
    """A context of ours for the API."""
    state = context.trace_state
    return trace.SpanContext(
        context.trace_id,
        context.span_id,
        context.is_remote,
        trace.TraceFlags(context.trace_flags),
        trace.TraceState.from_header([state]) if state else None,
    )


def our_context(context: trace.SpanContext) -> SpanContext:
    """A context of the API as ours."""
    return SpanContext(
        context.trace_id,
        context.span_id,
        int(context.trace_flags),
        context.trace_state.to_header(),
        context.is_remote,
    )


_scopes: dict[bytes, tuple[str, str]] = {}


def scope_of(name: str, version: str) -> bytes:
    """An instrumentation scope, as a span keeps it."""
    scope = _native.encode_scope(name, version)
    _scopes[scope] = name, version
    return scope


def name_and_version(scope: bytes | None) -> tuple[str, str]:
    """Of a span's instrumentation scope; where it has none, ours."""
    return _scopes.get(scope or b"", ("asynchooks", asynchooks.__version__))


def our_kind(kind: object) -> SpanKind:
    """A kind of the API as ours; what is none is INTERNAL."""
    return SpanKind(kind.value + 1) if isinstance(kind, trace.SpanKind) else SpanKind.INTERNAL


_PLAIN = (str, bool, int, float, bytes)


def clean_attributes(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Attributes as a span may hold them. What cannot be one is left out, or becomes text, and is
    reported once."""
    if not attributes:
        return {}
    clean = {}
    for key, value in attributes.items():
        if not isinstance(key, str) or not key:
            _report("key", key)
        elif isinstance(value, _PLAIN):
            clean[key] = value
        elif value is not None:
            clean[key] = _clean(value)
    return clean


def _clean(value: Any) -> Any:
    if isinstance(value, list | tuple | set | frozenset | range):
        return _clean_sequence(list(value))
    if isinstance(value, dict):
        return json.dumps(value, default=str)
    _report("value", value)
    return str(value)


def _clean_sequence(values: Sequence[Any]) -> list[Any]:
    kept = [value for value in values if value is not None]
    for kind in (bool, str, int, float):
        if all(type(value) is kind for value in kept):
            return kept
    if all(type(value) in (int, float) for value in kept):
        return [float(value) for value in kept]
    return [value if isinstance(value, str) else str(_clean(value)) for value in kept]


def _report(what: str, seen: object) -> None:
    report_once(
        f"opentelemetry.{what}",
        "an attribute's %s is %r, expected a string%s",
        what,
        seen,
        "" if what == "key" else ", a bool, a number, or a sequence of one of these",
    )

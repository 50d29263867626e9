"""Jobs and messages that go through a queue, alike for every queue.

Sending is a span of a producer, whose context travels with the job, and so does the request id. A
job is a request of its own, in a trace of its own that is linked to what has sent it: it may run
much later, many times, or beside a thousand others of the same sender.
"""

from __future__ import annotations

import contextvars
import functools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from asynchooks._patching import step_out
from asynchooks.libraries.calls import guarded
from asynchooks.libraries.incoming import request_id_from
from asynchooks.libraries.outgoing import headers_of
from asynchooks.tracing import (
    Request,
    Span,
    SpanKind,
    current_span,
    extract,
    is_suppressed,
    start_request,
    start_span,
    use_request,
    use_span,
)
from asynchooks.tracing.scope import NO_BAGGAGE

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from asynchooks.tracing import SpanContext
    from asynchooks.tracing.span import AttributeValue

    Attributes = Mapping[str, AttributeValue]
    # Its span, where the message tells one, and its baggage.
    Sender = tuple[SpanContext | None, Mapping[str, str]]

__all__ = (
    "Message",
    "add_messages",
    "carries_on",
    "describe",
    "destination_of",
    "handling",
    "headers_here",
    "running",
    "sending",
    "start_job",
    "start_processing",
    "start_sending",
)

_REQUEST_ID = "x-request-id"
_NONE: Attributes = MappingProxyType({})


class Message(NamedTuple):
    """What came through a queue.

    Attributes:
        destination: where it was sent to: the queue, topic, subject.
        headers: that travelled with it. Those that are no text are somebody else's.
        attributes: what else is known of it, by OpenTelemetry's names.
    """

    destination: str
    headers: Mapping[str, Any]
    attributes: Attributes = _NONE


def start_sending(
    system: str, destination: str, name: str = "", attributes: Attributes = _NONE
) -> Span | None:
    """Start the span of sending a job to the queue `destination`, or None outside of any request of
    ours. `name` is the job's, where it has one besides its queue. It is for `sending`."""
    parent = current_span()
    if parent is None or is_suppressed():
        return None
    span = start_span(f"send {name or destination}", kind=SpanKind.PRODUCER, parent=parent)
    describe(span, system, destination, "send", attributes)
    return span


class sending:
    """`with sending(span):` around the one call that sends a job, in a wrapper whose frame is taken
    out of the traceback of what is raised, also where there is no span. What is done to send the
    job is below it."""

    __slots__ = ("_is_over", "_scope", "_span")

    def __init__(self, span: Span | None) -> None:
        self._span = span
        self._scope = use_span(span)
        self._is_over = True

    def __enter__(self) -> Span | None:
        if self._span is not None:
            self._scope.enter()
        return self._span

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is not None:
            step_out(exc)
        if self._span is None:
            return
        self._scope.leave()
        if exc is not None:
            self._span.record_exception(exc)
        if exc is not None or self._is_over:
            self._span.end()

    def lasts_until(
        self, delivery: asyncio.Future[Any], finish: Callable[[Span, Any], None]
    ) -> None:
        """Inside: the call returns before the job is sent. The span ends when `delivery` is done,
        whose result is told to `finish(span, result)`."""
        span = self._span
        if span is None:
            return

        def end(delivery: asyncio.Future[Any]) -> None:
            # Not delivery.exception(): that marks it as retrieved, and asyncio's warning is lost.
            exception = getattr(delivery, "_exception", None)
            if delivery.cancelled():
                span.set_attribute("asynchooks.cancelled", True)
            elif exception is not None:
                span.record_exception(exception)
            else:
                finish(span, delivery.result())
            span.end()

        self._is_over = False
        delivery.add_done_callback(end, context=contextvars.Context())


def headers_here() -> dict[str, str]:
    """The headers that are to travel with a job that is made here; none outside of any request of
    ours."""
    span = current_span()
    if span is None or is_suppressed():
        return {}
    return headers_of(span)


def carries_on(headers: Mapping[str, Any]) -> bool:
    """Whether these headers carry a trace on already: of a message that the application passes on,
    or by its own hand. They stay as they are."""
    return extract(_getter(headers))[0] is not None


def start_job(
    system: str, destination: str, headers: Mapping[str, Any], *, name: str = "", job_id: str = ""
) -> Request:
    """Begin the job that came with these headers, of which those that are no text are somebody
    else's. The caller puts it in force by `running`."""
    attributes = {"messaging.message.id": job_id} if job_id else _NONE
    return start_processing(system, (Message(destination, headers, attributes),), name=name)


def start_processing(
    system: str, messages: Sequence[Message], *, name: str = "", is_batch: bool = False
) -> Request:
    """Begin the job of these messages, one or more, which is linked to all of their senders. It has
    the request id and the baggage of a sender that is alone. The caller puts it in force, by
    `running` or otherwise."""
    destination = destination_of(messages)
    senders = _senders_of(messages)
    request_id, baggage = "", NO_BAGGAGE
    if len(messages) == 1:
        request_id = _getter(messages[0].headers)(_REQUEST_ID)
        baggage = senders[0][1]
    request = start_request(
        request_id=request_id_from(request_id),
        method="process",
        path=name or destination or system,
        baggage=baggage,
        kind=SpanKind.CONSUMER,
    )
    request.span.update_name(f"process {request.path}")
    describe(request.span, system, destination, "process")
    _add(request.span, messages, senders, is_batch)
    return request


class running:
    """`with running(job):` around the one call that runs a job, in a wrapper whose frame is taken
    out of the traceback of what is raised."""

    __slots__ = ("_request", "_scope")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._scope = use_request(request)

    def __enter__(self) -> Span:
        self._scope.enter()
        return self._request.span

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        span = self._request.span
        if exc is not None:
            step_out(exc)
            span.record_exception(exc)
        span.end()
        self._scope.leave()


def handling(
    callback: Callable[[Any], Any], begin: Callable[[Any], Request], taken_by: Any
) -> Callable[[Any], Any]:
    """`callback`, a coroutine function that `taken_by` was given for messages: each call of it in
    the job that `begin(message)` begins."""

    @functools.wraps(callback)
    async def handle(message: Any) -> Any:
        job = guarded(taken_by, begin, message)
        if job is None:
            return await callback(message)
        with running(job):
            return await callback(message)

    return handle


def describe(
    span: Span, system: str, destination: str, operation: str, attributes: Attributes = _NONE
) -> None:
    """Say what a span does with which queue; "" is none that is known."""
    if not span.is_recording():
        return
    span.set_attribute("messaging.system", system)
    if destination:
        span.set_attribute("messaging.destination.name", destination)
    span.set_attribute("messaging.operation.name", operation)
    span.set_attribute("messaging.operation.type", operation)
    if attributes:
        span.set_attributes(attributes)


def add_messages(span: Span, messages: Sequence[Message], *, is_batch: bool = False) -> None:
    """Link the span to the senders of these messages, and say what is true of all of them. With
    `is_batch`, how many there are: the application has asked for some at a time."""
    _add(span, messages, _senders_of(messages), is_batch)


def _add(
    span: Span, messages: Sequence[Message], senders: Sequence[Sender], is_batch: bool
) -> None:
    if not span.is_recording():
        return
    for sender, _ in senders:
        if sender is not None:
            span.add_link(sender)
    if is_batch:
        span.set_attribute("messaging.batch.message_count", len(messages))
    if messages:
        first, *others = (message.attributes for message in messages)
        span.set_attributes(
            {
                name: value
                for name, value in first.items()
                if all(other.get(name) == value for other in others)
            }
            if others
            else first
        )


def _senders_of(messages: Sequence[Message]) -> list[Sender]:
    return [extract(_getter(message.headers)) for message in messages]


def destination_of(messages: Sequence[Message]) -> str:
    """Where all of them were sent to; "" where that is not one place."""
    destinations = {message.destination for message in messages}
    return destinations.pop() if len(destinations) == 1 else ""


def _getter(headers: Mapping[str, Any]) -> Callable[[str], str]:
    def get(key: str) -> str:
        value = headers.get(key, "")
        return value if isinstance(value, str) else ""

    return get

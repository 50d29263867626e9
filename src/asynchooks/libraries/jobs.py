"""Jobs and messages that go through a queue, alike for every queue.

Sending is a span of a producer, whose context travels with the job, and so does the request id. A
job is a request of its own, in a trace of its own that is linked to what has sent it: it may run
much later, many times, or beside a thousand others of the same sender.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks._patching import step_out
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

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

__all__ = ("headers_here", "running", "sending", "start_job", "start_sending")

_REQUEST_ID = "x-request-id"


def start_sending(system: str, destination: str, name: str = "") -> Span | None:
    """Start the span of sending a job to the queue `destination`, or None outside of any request of
    ours. `name` is the job's, where it has one besides its queue. It is for `sending`."""
    parent = current_span()
    if parent is None or is_suppressed():
        return None
    span = start_span(f"send {name or destination}", kind=SpanKind.PRODUCER, parent=parent)
    _describe(span, system, destination, "send")
    return span


class sending:
    """`with sending(span):` around the one call that sends a job, in a wrapper whose frame is taken
    out of the traceback of what is raised, also where there is no span. What is done to send the
    job is below it."""

    __slots__ = ("_scope", "_span")

    def __init__(self, span: Span | None) -> None:
        self._span = span
        self._scope = use_span(span)

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
        self._span.end()


def headers_here() -> dict[str, str]:
    """The headers that are to travel with a job that is made here; none outside of any request of
    ours."""
    span = current_span()
    if span is None or is_suppressed():
        return {}
    return headers_of(span)


def start_job(
    system: str, destination: str, headers: Mapping[str, Any], *, name: str = "", job_id: str = ""
) -> Request:
    """Begin the job that came with these headers, of which those that are no text are somebody
    else's. The caller puts it in force by `running`."""

    def get(key: str) -> str:
        value = headers.get(key, "")
        return value if isinstance(value, str) else ""

    sender, baggage = extract(get)
    request = start_request(
        request_id=request_id_from(get(_REQUEST_ID)),
        method="process",
        path=name or destination,
        baggage=baggage,
        kind=SpanKind.CONSUMER,
    )
    span = request.span
    span.update_name(f"process {name or destination}")
    _describe(span, system, destination, "process")
    if job_id:
        span.set_attribute("messaging.message.id", job_id)
    if sender is not None:
        span.add_link(sender)
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


def _describe(span: Span, system: str, destination: str, operation: str) -> None:
    if span.is_recording():
        span.set_attribute("messaging.system", system)
        span.set_attribute("messaging.destination.name", destination)
        span.set_attribute("messaging.operation.name", operation)
        span.set_attribute("messaging.operation.type", operation)

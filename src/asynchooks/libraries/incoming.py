"""A request that comes in, and the answer to it. Alike for every kind of server; each file says
what came, what was answered, and when the last byte was.

A request always starts a new root here, whatever the context says: on a kept connection, asyncio
may hand the context of the previous request to the next one (cpython#140947).
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks._patching import step_out
from asynchooks.libraries.http import known_method, record_headers, record_method
from asynchooks.libraries.urls import redact_query
from asynchooks.tracing import (
    Span,
    StatusCode,
    current_span,
    extract,
    start_request,
    use_request,
    use_span,
)
from asynchooks.tracing.propagation import CARRIERS
from asynchooks.tracing.scope import NO_BAGGAGE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from asynchooks.tracing import Request

    Headers = Sequence[tuple[bytes, bytes]]

__all__ = ("Answer", "answering", "request_id_from", "start_incoming")

# An id comes from outside and goes into log lines and headers: visible ASCII, and not long.
_REQUEST_ID = re.compile(r"[!-~]{1,200}")
# What runs on after the last byte for less than this (ns), and does nothing, is no background.
_WORTH_A_SPAN = 1_000_000


def request_id_from(given: str) -> str:
    """The id that the caller gave, or a new one where that could do harm."""
    if given and _REQUEST_ID.fullmatch(given):
        return given
    return f"{_native.new_span_id():016x}"


def start_incoming(
    *, method: str, path: str, headers: Headers, is_websocket: bool = False, **facts: Any
) -> Request:
    """Begin the request that came with these headers. `facts` are those of `_describe`. The caller
    puts it in force and follows its answer."""
    by_name: dict[bytes, bytes] = {}
    for name, value in headers:
        by_name.setdefault(name.lower(), value)
    parent, baggage = None, NO_BAGGAGE
    if not by_name.keys().isdisjoint(CARRIERS):
        parent, baggage = extract(
            lambda name: by_name.get(name.encode("latin-1"), b"").decode("latin-1")
        )
    request = start_request(
        request_id=request_id_from(by_name.get(b"x-request-id", b"").decode("latin-1")),
        method="WEBSOCKET" if is_websocket else known_method(method),
        path=path,
        parent=parent,
        baggage=baggage,
    )
    if request.span.is_recording():
        _describe(request.span, method, path, by_name.get(b"user-agent"), **facts)
        record_headers(request.span, "server", "request", headers)
    return request


def _describe(
    span: Span,
    method: str,
    path: str,
    user_agent: bytes | None,
    *,
    scheme: str = "http",
    query: str = "",
    version: str = "",
    server: Sequence[Any] | None = None,
    client: Sequence[Any] | None = None,
) -> None:
    """Say what came; `server` and `client` are addresses, each a host and maybe a port."""
    record_method(span, method)
    attributes: dict[str, str | int] = {"url.path": path, "url.scheme": scheme}
    if query:
        attributes["url.query"] = redact_query(query)
    if version:
        attributes["network.protocol.version"] = version
    if server:
        attributes["server.address"] = server[0]
        if len(server) > 1 and server[1] is not None:
            attributes["server.port"] = int(server[1])
    if client:
        attributes["client.address"] = client[0]
    if user_agent is not None:
        attributes["user_agent.original"] = user_agent.decode("latin-1")
    span.set_attributes(attributes)


class Answer:
    """Follows the answer to one request: its status, its bytes, its end, and what runs after that.

    Attributes:
        status: what is answered, once that is known.
    """

    __slots__ = (
        "_background",
        "_background_scope",
        "_chunks",
        "_ended_at",
        "_request",
        "_size",
        "status",
    )

    def __init__(self, request: Request) -> None:
        self._request = request
        self.status: int | None = None
        self._size = 0  # bytes
        self._chunks = 0
        self._ended_at: int | None = None  # ns since the epoch
        self._background: Span | None = None
        self._background_scope: use_span | None = None

    def begin(self, status: int, headers: Headers) -> None:
        """The answer's status and headers are known."""
        self.status = status
        if self._request.span.is_recording():
            record_headers(self._request.span, "server", "response", headers)

    def add(self, size: int) -> None:
        """So many bytes of the body were sent, in one piece."""
        if size:
            self._size += size
            self._chunks += 1

    def disconnect(self) -> None:
        """The client has gone away. That is no failure, and no news once all was answered."""
        if self._ended_at is None:
            self._request.span.set_attribute("asynchooks.client_disconnected", True)

    def end(self) -> None:
        """The last byte was sent: the server span is over. Code of this call that runs on from here
        is background, in a span of its own."""
        span = self._request.span
        if self._ended_at is not None or not span.is_recording():
            return
        self._ended_at = time.time_ns()
        if self.status is not None and self.status >= 500:
            return  # the exception behind it may still come this way
        self._describe(span)
        span.end(self._ended_at)
        # What nearly every request drops again has its attributes when it is kept.
        background = self._background = Span("background", parent=span, request=self._request)
        if current_span() is span:
            self._background_scope = use_span(background)
            self._background_scope.enter()

    def fail(self, exc: BaseException) -> None:
        """The application raised."""
        if self._background is not None:
            self._background.record_exception(exc)
            return
        if self.status is None and isinstance(exc, Exception):
            self.status = 500  # what the server answers now
        self._request.span.record_exception(exc)

    def finish(self) -> None:
        """The application is done with the request."""
        span = self._request.span
        if span.is_recording():  # a websocket, a failure, an answer that was cut short
            self._describe(span)
            span.end(self._ended_at)
        if self._background_scope is not None:
            self._background_scope.leave()
        background = self._background
        if background is not None and self._did_something(background):
            background.set_attribute("asynchooks.background", True)
            background.add_link(span.context)
            background.end()

    def _did_something(self, background: Span) -> bool:
        if background.events or time.time_ns() - background.start_time >= _WORTH_A_SPAN:
            return True
        if self._request.newest_span is self._request.span:
            return False
        return any(
            span.parent is not None and span.parent.span_id == background.context.span_id
            for span in self._request.spans
        )

    def _describe(self, span: Span) -> None:
        attributes = {}
        if self._chunks:
            attributes["http.response.body.size"] = self._size
            attributes["asynchooks.response.chunks"] = self._chunks
        if self.status is not None:
            attributes["http.response.status_code"] = self.status
        span.set_attributes(attributes)
        if self.status is not None and self.status >= 500:
            if "error.type" not in span.attributes:
                span.set_attribute("error.type", str(self.status))
            if span.status_code is StatusCode.UNSET:
                span.set_status(StatusCode.ERROR)


class answering:
    """`with answering(request) as answer:` around the one call that serves a request, in a wrapper
    whose frame is taken out of the traceback of what is raised."""

    __slots__ = ("_answer", "_scope")

    def __init__(self, request: Request, answer: Answer | None = None) -> None:
        self._answer = answer or Answer(request)
        self._scope = use_request(request)

    def __enter__(self) -> Answer:
        self._scope.enter()
        return self._answer

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is not None:
            step_out(exc)
            self._answer.fail(exc)
        self._answer.finish()
        self._scope.leave()

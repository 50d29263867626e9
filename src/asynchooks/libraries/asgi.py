"""ASGI: where a request begins and ends.

A request always starts a new root here, whatever the context says: on a kept connection, asyncio
may hand the context of the previous request to the next one (cpython#140947).
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from asynchooks._reporting import report_once
from asynchooks.libraries.calls import step_out
from asynchooks.libraries.http import known_method, record_headers, record_method
from asynchooks.libraries.urls import redact_query
from asynchooks.tracing import (
    Span,
    StatusCode,
    current_span,
    extract,
    is_sampled,
    record_tasks,
    start_request,
    use_request,
    use_span,
)
from asynchooks.tracing.identifiers import new_span_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from asynchooks.tracing import Request

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = ("TracedApplication",)

# An id comes from outside and goes into log lines and headers: visible ASCII, and not long.
_REQUEST_ID = re.compile(rb"[!-~]{1,200}")
# The messages that carry the headers of an answer.
_STARTS = frozenset(("http.response.start", "websocket.accept", "websocket.http.response.start"))
# What runs on after the last byte for less than this (ns), and does nothing, is no background.
_WORTH_A_SPAN = 1_000_000


class TracedApplication:
    """An ASGI application, each of whose calls for a request is a request of ours."""

    def __init__(self, app: Application) -> None:
        self.app = app

    def __getattr__(self, name: str) -> Any:
        # A server, or a test, may look at attributes of the application (app.state).
        return getattr(self.app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        try:
            request = _start(scope)
        except Exception:
            report_once("asgi.start", "asynchooks could not record a request", exc_info=True)
            await self.app(scope, receive, send)
            return
        response = _Response(request, send)
        # The context may be that of another request's `send`.
        with use_request(request), record_tasks(True):
            try:
                await self.app(scope, receive, response.send)
            except BaseException as exc:
                step_out(exc)
                response.fail(exc)
                raise
            finally:
                response.finish()


class _Response:
    """Follows one response: its status, its last byte, and what runs after that."""

    __slots__ = ("_background", "_background_scope", "_ended_at", "_request", "_send", "_status")

    def __init__(self, request: Request, send: Send) -> None:
        self._request = request
        self._send = send
        self._status: int | None = None
        self._ended_at: int | None = None  # ns since the epoch
        self._background: Span | None = None
        self._background_scope: use_span | None = None

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in _STARTS:
            message = self._begin(message)
        elif kind == "websocket.close" and self._status is None:
            self._status = 403  # what the server answers to a handshake that is refused
        # A server that begins the connection's next request here, or a timer, does not do so for
        # this request.
        with record_tasks(False):
            await self._send(message)
        if kind == "http.response.body" and not message.get("more_body", False):
            self._end_response()

    def _begin(self, message: Message) -> Message:
        self._status = message.get("status", 101)  # of a websocket that is accepted
        headers = list(message.get("headers") or ())
        if self._request.span.is_recording():
            record_headers(self._request.span, "server", "response", headers)
        if not any(name.lower() == b"x-request-id" for name, _ in headers):
            headers.append((b"x-request-id", self._request.id.encode("latin-1")))
        return {**message, "headers": headers}

    def _end_response(self) -> None:
        """The server span is over. Code of this call that runs on from here is background."""
        span = self._request.span
        if span.end_time is not None or self._ended_at is not None or not is_sampled(span.context):
            return
        self._ended_at = time.time_ns()
        if self._status is not None and self._status >= 500:
            return  # the exception behind it may still come this way
        self._set_status(span)
        span.end(self._ended_at)
        self._background = Span(
            "background",
            parent=span.context,
            request=self._request,
            attributes={"asynchooks.background": True},
        )
        if current_span() is span:
            self._background_scope = use_span(self._background)
            self._background_scope.enter()

    def fail(self, exc: BaseException) -> None:
        if self._background is not None:
            self._background.record_exception(exc)
            return
        if self._status is None and isinstance(exc, Exception):
            self._status = 500  # what the server answers now
        self._request.span.record_exception(exc)

    def finish(self) -> None:
        span = self._request.span
        if span.end_time is None:  # a websocket, a failure, an answer that was cut short
            self._set_status(span)
            span.end(self._ended_at)
        if self._background_scope is not None:
            self._background_scope.leave()
        background = self._background
        if background is not None and _did_something(background, self._request):
            background.end()

    def _set_status(self, span: Span) -> None:
        if self._status is None:
            return
        span.set_attribute("http.response.status_code", self._status)
        if self._status >= 500:
            if "error.type" not in span.attributes:
                span.set_attribute("error.type", str(self._status))
            if span.status_code is StatusCode.UNSET:
                span.set_status(StatusCode.ERROR)


def _did_something(background: Span, request: Request) -> bool:
    if background.events or time.time_ns() - background.start_time >= _WORTH_A_SPAN:
        return True
    return any(
        span.parent is not None and span.parent.span_id == background.context.span_id
        for span in request.spans
    )


def _start(scope: Scope) -> Request:
    headers: dict[bytes, bytes] = {}
    for name, value in scope.get("headers") or ():
        headers.setdefault(name.lower(), value)
    given_id = headers.get(b"x-request-id", b"")
    request_id = (
        given_id.decode("ascii") if _REQUEST_ID.fullmatch(given_id) else f"{new_span_id():016x}"
    )
    is_websocket = scope["type"] == "websocket"
    method = "GET" if is_websocket else scope["method"]
    parent, baggage = extract(lambda name: headers.get(name.encode(), b"").decode("latin-1"))
    request = start_request(
        request_id=request_id,
        method="WEBSOCKET" if is_websocket else known_method(method),
        path=scope["path"],
        parent=parent,
        baggage=baggage,
    )
    if request.span.is_recording():
        _describe(request.span, scope, method, headers)
        record_headers(request.span, "server", "request", scope.get("headers") or ())
    return request


def _describe(span: Span, scope: Scope, method: str, headers: dict[bytes, bytes]) -> None:
    set_attribute = span.set_attribute
    record_method(span, method)
    set_attribute("url.path", scope["path"])
    set_attribute("url.scheme", scope.get("scheme", "http"))
    if scope.get("query_string"):
        set_attribute("url.query", redact_query(scope["query_string"].decode("latin-1")))
    if scope.get("http_version"):
        set_attribute("network.protocol.version", scope["http_version"])
    server = scope.get("server")
    if server:
        set_attribute("server.address", server[0])
        if server[1] is not None:
            set_attribute("server.port", server[1])
    client = scope.get("client")
    if client:
        set_attribute("client.address", client[0])
    if b"user-agent" in headers:
        set_attribute("user_agent.original", headers[b"user-agent"].decode("latin-1"))

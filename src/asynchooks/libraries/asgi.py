"""ASGI: where a request begins and ends. Lifespans, and whatever is no request, go by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks._reporting import report_once
from asynchooks.libraries.calls import fail, step_out
from asynchooks.libraries.incoming import Answer, answering, start_incoming
from asynchooks.libraries.websocket import Messages
from asynchooks.tracing import record_tasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from asynchooks.tracing import Request

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = ("TracedApplication",)

# The messages that carry the headers of an answer.
_STARTS = frozenset(("http.response.start", "websocket.accept", "websocket.http.response.start"))


_ID = b"x-request-id"
_ID_LENGTH = len(_ID)


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
        exchange_type = _WebSocket if scope["type"] == "websocket" else _Exchange
        exchange = exchange_type(request, receive, send)
        if request.span.is_recording():  # else nothing is to be learned from what is received
            receive = exchange.receive
        with answering(request, exchange.answer):
            try:
                await self.app(scope, receive, exchange.send)
            finally:
                exchange.close()


class _Exchange:
    """What the application receives and sends for one request."""

    __slots__ = ("_receive", "_request", "_send", "answer")

    def __init__(self, request: Request, receive: Receive, send: Send) -> None:
        self._request = request
        self._receive = receive
        self._send = send
        self.answer = Answer(request)

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.answer.disconnect()
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in _STARTS:
            message = self._begin(message)
        # A server that begins the connection's next request here, or a timer, does not do so for
        # this request.
        with record_tasks(False):
            await self._send(message)
        if kind == "http.response.body":
            self.answer.add(len(message.get("body", b"")))
            if not message.get("more_body", False):
                self.answer.end()

    def close(self) -> None:
        """The application has returned."""

    def _begin(self, message: Message) -> Message:
        headers = list(message.get("headers") or ())
        self.answer.begin(message.get("status", 101), headers)  # of a websocket that is accepted
        for name, _ in headers:
            if len(name) == _ID_LENGTH and name.lower() == _ID:
                break
        else:
            headers.append((_ID, self._request.id.encode("latin-1")))
        return {**message, "headers": headers}


class _WebSocket(_Exchange):
    """One connection of a websocket, from its handshake to its end."""

    __slots__ = ("_messages",)

    def __init__(self, request: Request, receive: Receive, send: Send) -> None:
        super().__init__(request, receive, send)
        self._messages = Messages(request)

    async def receive(self) -> Message:
        self._messages.end_received()
        message = await self._receive()
        if message["type"] == "websocket.receive":
            self._messages.receive(_data_of(message))
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.close" and self.answer.status is None:
            self.answer.status = 403  # what the server answers to a handshake that is refused
        if kind != "websocket.send":
            await super().send(message)
            return
        span = self._messages.start_sent(_data_of(message))
        try:
            await super().send(message)
        except BaseException as exc:
            step_out(exc)
            fail(span, exc)
            raise
        span.end()

    def close(self) -> None:
        self._messages.end_received()


def _data_of(message: Message) -> str | bytes:
    text: str | bytes | None = message.get("text")
    return text if text is not None else message.get("bytes") or b""


def _start(scope: Scope) -> Request:
    is_websocket = scope["type"] == "websocket"
    return start_incoming(
        method="GET" if is_websocket else scope["method"],
        path=scope["path"],
        headers=scope.get("headers") or (),
        scheme=scope.get("scheme", "http"),
        query=scope.get("query_string", b"").decode("latin-1"),
        version=scope.get("http_version", ""),
        server=scope.get("server"),
        client=scope.get("client"),
        is_websocket=is_websocket,
    )

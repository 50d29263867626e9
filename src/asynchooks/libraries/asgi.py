"""ASGI: where a request begins and ends. Lifespans, and whatever is no request, go by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks._native import asgi_sending, asgi_sent, asgi_start, record_tasks
from asynchooks._reporting import report_once
from asynchooks.libraries.calls import fail, step_out
from asynchooks.libraries.incoming import Answer
from asynchooks.libraries.websocket import Messages

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = ("TracedApplication",)


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
            request = asgi_start(scope)
        except Exception:
            report_once("asgi.start", "asynchooks could not record a request", exc_info=True)
            await self.app(scope, receive, send)
            return
        with Answer(request) as answer:
            if scope["type"] == "http":
                exchange = _Exchange(answer, receive, send)
                if request.span.is_recording():  # else nothing is to be learned from it
                    receive = exchange.receive
                await self.app(scope, receive, exchange.send)
            else:
                connection = _WebSocket(answer, receive, send, Messages(request))
                try:
                    await self.app(scope, connection.receive, connection.send)
                finally:
                    connection.close()


class _Exchange:
    """What the application receives and sends for one request."""

    __slots__ = ("_answer", "_receive", "_send")

    def __init__(self, answer: Answer, receive: Receive, send: Send) -> None:
        self._answer = answer
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._answer.disconnect()
        return message

    async def send(self, message: Message) -> None:
        # A server that begins the connection's next request here, or a timer, does not do so for
        # this request.
        with record_tasks(False):
            await self._send(asgi_sending(self._answer, message))
        asgi_sent(self._answer, message)


class _WebSocket(_Exchange):
    """One connection of a websocket, from its handshake to its end."""

    __slots__ = ("_messages",)

    def __init__(self, answer: Answer, receive: Receive, send: Send, messages: Messages) -> None:
        super().__init__(answer, receive, send)
        self._messages = messages

    async def receive(self) -> Message:
        self._messages.end_received()
        message = await self._receive()
        if message["type"] == "websocket.receive":
            self._messages.receive(_data_of(message))
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.close" and self._answer.status is None:
            self._answer.status = 403  # what the server answers to a handshake that is refused
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
        """The application has returned."""
        self._messages.end_received()


def _data_of(message: Message) -> str | bytes:
    text: str | bytes | None = message.get("text")
    return text if text is not None else message.get("bytes") or b""

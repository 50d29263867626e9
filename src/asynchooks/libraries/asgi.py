"""ASGI: where a request begins and ends. Lifespans, and whatever is no request, go by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks import _native
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


def _report(exc: Exception) -> None:
    report_once("asgi.start", "asynchooks could not record a request", exc_info=exc)


def _serving_http(call: Any) -> Any:
    """The core takes the requests of HTTP, without a frame of ours; `call` is given the rest."""
    return _native.Wrapper(call, "asgi", helper=_report)


class TracedApplication:
    """An ASGI application, each of whose calls for a request is a request of ours."""

    def __init__(self, app: Application) -> None:
        self.app = app

    def __getattr__(self, name: str) -> Any:
        # A server, or a test, may look at attributes of the application (app.state).
        return getattr(self.app, name)

    @_serving_http
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _begin_websocket(scope)
        try:
            if answer is not None:
                await _serve_websocket(answer, self.app, scope, receive, send)
            else:
                await self.app(scope, receive, send)
        except BaseException as exc:
            step_out(exc)
            raise


def _begin_websocket(scope: Scope) -> Answer | None:
    """None where the scope is of something else, or not to be understood."""
    if scope["type"] != "websocket":
        return None
    try:
        return Answer(asgi_start(scope))
    except Exception as exc:
        _report(exc)
        return None


async def _serve_websocket(
    answer: Answer, app: Application, scope: Scope, receive: Receive, send: Send
) -> None:
    with answer:
        connection = _WebSocket(answer, receive, send)
        try:
            await app(scope, connection.receive, connection.send)
        finally:
            connection.close()


class _WebSocket:
    """One connection of a websocket, from its handshake to its end."""

    __slots__ = ("_answer", "_messages", "_receive", "_send")

    def __init__(self, answer: Answer, receive: Receive, send: Send) -> None:
        self._answer = answer
        self._receive = receive
        self._send = send
        self._messages = Messages(answer.request)

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
            await self._follow(message)
            return
        span = self._messages.start_sent(_data_of(message))
        try:
            await self._follow(message)
        except BaseException as exc:
            step_out(exc)
            fail(span, exc)
            raise
        span.end()

    async def _follow(self, message: Message) -> None:
        # As the core does for HTTP: what the server begins meanwhile is not this request's.
        with record_tasks(False):
            await self._send(asgi_sending(self._answer, message))
        asgi_sent(self._answer, message)

    def close(self) -> None:
        """The application has returned."""
        self._messages.end_received()


def _data_of(message: Message) -> str | bytes:
    text: str | bytes | None = message.get("text")
    return text if text is not None else message.get("bytes") or b""

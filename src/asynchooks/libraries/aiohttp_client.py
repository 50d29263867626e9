"""aiohttp's client: every request that leaves, each redirect and each retry for itself, with the
trace and the request id in its headers, which the application does not see. The span ends when the
answer's headers are there.

A request takes a connection, is sent by it, and its answer starts on it: the connection is what
leads from one to the next. Client middlewares are outside of that.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import fail, guarded, step_out
from asynchooks.libraries.outgoing import (
    add_headers,
    finish_request,
    remove_headers,
    start_outgoing,
)

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

NAME = "aiohttp"
MODULE = "aiohttp.client"
SUPPORTED = ("3.8.3", "4")

# An attribute of a connection: the request that is on its way, and its span.
_SENT = "_asynchooks_sent"


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.BaseConnector, "connect", _make_connect)
    patches.wrap(module.ClientRequest, "send", _make_send)
    patches.wrap(module.ClientResponse, "start", _make_start)


def _make_connect(original: Any) -> Any:
    @functools.wraps(original)
    async def connect(self: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
        span = guarded(original, _begin, req)
        try:
            connection = await original(self, req, *args, **kwargs)
        except BaseException as exc:
            step_out(exc)
            if span is not None:
                _end(req, span, exc)
            raise
        if span is not None:
            guarded(original, setattr, connection, _SENT, (req, span))
        return connection

    return connect


def _make_send(original: Any) -> Any:
    @functools.wraps(original)
    async def send(self: Any, conn: Any) -> Any:
        try:
            return await original(self, conn)
        except BaseException as exc:
            step_out(exc)
            sent = _take(conn)
            if sent is not None:
                _end(*sent, exc)
            raise

    return send


def _make_start(original: Any) -> Any:
    @functools.wraps(original)
    async def start(self: Any, connection: Any) -> Any:
        sent = _take(connection)
        try:
            response = await original(self, connection)
        except BaseException as exc:
            step_out(exc)
            if sent is not None:
                _end(*sent, exc)
            raise
        if sent is not None:
            guarded(original, _finish, sent[1], response)
            _end(*sent)
        return response

    return start


def _take(connection: Any) -> tuple[Any, Span] | None:
    """The request that is on its way, which is ours to end."""
    sent: tuple[Any, Span] | None = getattr(connection, "__dict__", {}).pop(_SENT, None)
    return sent


def _begin(request: Any) -> Span | None:
    return add_headers(
        request, start_outgoing(request.method, str(request.url), request.headers.items())
    )


def _finish(span: Span, response: Any) -> None:
    version = f"{response.version.major}.{response.version.minor}" if response.version else ""
    finish_request(span, response.status, version, response.headers.items())


def _end(request: Any, span: Span, exc: BaseException | None = None) -> None:
    guarded(_end, remove_headers, request)
    if exc is None:
        span.end()
    else:
        fail(span, exc)

"""uvicorn: each request starts in the context that the application's start-up left, whatever the
request before it on the connection has set.

asyncio may go on reading a connection in the context of a request that had reading paused
(cpython#140947, up to 3.14); and what the lifespan sets in its own task is not seen by requests.
"""

from __future__ import annotations

import contextvars
import functools
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from asynchooks._patching import step_out

if TYPE_CHECKING:
    from collections.abc import Callable

# By the server's configuration, which its lifespan and its connections know: where requests start.
_bases: WeakKeyDictionary[Any, contextvars.Context] = WeakKeyDictionary()


def _make_startup(original: Any) -> Any:
    @functools.wraps(original)
    async def startup(self: Any, *args: Any, **kwargs: Any) -> None:
        _bases[self.config] = contextvars.copy_context()
        try:
            await original(self, *args, **kwargs)
        except BaseException as exc:
            step_out(exc)
            raise

    return startup


def _make_send(original: Any) -> Any:
    @functools.wraps(original)
    async def send(self: Any, message: Any) -> None:
        if message["type"] == "lifespan.startup.complete":
            _bases[self.config] = contextvars.copy_context()
        await original(self, message)

    return send


def _from_the_base(original: Any) -> Any:
    """Wrap a method of a connection that may start a request."""

    @functools.wraps(original)
    def call(self: Any, *args: Any) -> None:
        base = _bases.get(self.config)
        if base is None:  # the server started before us
            original(self, *args)
        else:
            base.copy().run(original, self, *args)

    return call


PATCHES: dict[str, Callable[[Any], Any]] = {
    "uvicorn.server:Server.startup": _make_startup,
    "uvicorn.lifespan.on:LifespanOn.send": _make_send,
    "uvicorn.protocols.http.h11_impl:H11Protocol.data_received": _from_the_base,
    "uvicorn.protocols.http.h11_impl:H11Protocol.on_response_complete": _from_the_base,
    "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.data_received": _from_the_base,
    "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_response_complete": _from_the_base,
}

"""uvicorn: each request starts in the context that the application's start-up left, whatever the
request before it on the connection has set.

asyncio may go on reading a connection in the context of a request that had reading paused
(cpython#140947, up to 3.14); and what the lifespan sets in its own task is not seen by requests.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks._patching import step_out
from asynchooks.integrations.lifespans import base_of, note_base, noting_the_start

if TYPE_CHECKING:
    from collections.abc import Callable


def _noting(original: Any) -> Any:
    @functools.wraps(original)
    async def startup(self: Any, *args: Any, **kwargs: Any) -> None:
        note_base(self.config)
        try:
            await original(self, *args, **kwargs)
        except BaseException as exc:
            step_out(exc)
            raise

    return startup


def _from_the_base(original: Any) -> Any:
    """Wrap a method of a connection that may start a request."""

    @functools.wraps(original)
    def call(self: Any, *args: Any) -> None:
        base = base_of(self.config)
        if base is None:
            original(self, *args)
        else:
            base.run(original, self, *args)

    return call


PATCHES: dict[str, Callable[[Any], Any]] = {
    "uvicorn.server:Server.startup": _noting,
    "uvicorn.lifespan.on:LifespanOn.send": noting_the_start,
    "uvicorn.protocols.http.h11_impl:H11Protocol.data_received": _from_the_base,
    "uvicorn.protocols.http.h11_impl:H11Protocol.on_response_complete": _from_the_base,
    "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.data_received": _from_the_base,
    "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_response_complete": _from_the_base,
}

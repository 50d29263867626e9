"""uvicorn: each request starts in the context that the application's start-up left, whatever the
request before it on the connection has set.

asyncio may go on reading a connection in the context of a request that had reading paused
(cpython#140947, up to 3.14); and what the lifespan sets in its own task is not seen by requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.integrations.lifespans import in_the_base, note_base, noting_the_start
from asynchooks.integrations.wrapping import with_arguments

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap


def _note(server: Any, *args: Any, **kwargs: Any) -> None:
    note_base(server.config)


# Each module, and its class of connections.
_CONNECTIONS = (
    "uvicorn.protocols.http.h11_impl:H11Protocol",
    "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol",
    "uvicorn.protocols.http.zttp_impl:ZttpProtocol",
    "uvicorn.protocols.http.zttp_h2_impl:ZttpH2Protocol",
)

PATCHES: dict[str, Wrap] = {
    "uvicorn.server:Server.startup": with_arguments(_note),
    "uvicorn.lifespan.on:LifespanOn.send": noting_the_start,
    **{f"{connection}.data_received": in_the_base for connection in _CONNECTIONS},
    **{f"{connection}.on_response_complete": in_the_base for connection in _CONNECTIONS},
}

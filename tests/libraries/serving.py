"""Real servers on the loop of a test."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import hypercorn.asyncio
import hypercorn.config
import uvicorn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ("serve",)


@asynccontextmanager
async def serve(kind: str, app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """`app` behind a real server on this loop, and a client of it, which keeps no connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    may_end = asyncio.Event()
    # Both servers close what they listen on.
    if kind == "hypercorn":
        config = hypercorn.config.Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.errorlog = None
        serving = asyncio.ensure_future(
            hypercorn.asyncio.serve(app, config, shutdown_trigger=may_end.wait)
        )
    else:
        http: Any = kind.removeprefix("uvicorn-")
        serving = asyncio.ensure_future(
            _serve_uvicorn(
                uvicorn.Config(app, http=http, log_level="critical", lifespan="off"),
                listener,
                may_end,
            )
        )
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=60
    ) as client:
        try:
            yield client
        finally:
            may_end.set()
            await serving


async def _serve_uvicorn(
    config: uvicorn.Config, listener: socket.socket, may_end: asyncio.Event
) -> None:
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    await may_end.wait()
    server.should_exit = True
    await serving

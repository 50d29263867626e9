"""Serving the viewer."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import uvicorn

from asynchooks.viewer.app import make_app
from asynchooks.viewer.errors import ViewerError
from asynchooks.viewer.live import Live
from asynchooks.viewer.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

__all__ = ("DEFAULT_PORT", "serve")

# OTLP/HTTP's own.
DEFAULT_PORT = 4318


def serve(
    host: str, port: int, store_path: Path, *, announce: Callable[[str], None] = lambda url: None
) -> None:
    """Serve until SIGINT or SIGTERM. `announce(url)` is called when requests are taken; port 0
    takes any that is free.

    Raises:
        ViewerError: the port is taken, or the store cannot be opened. Nothing was served then.
    """
    listener = _listen(host, port)
    try:
        store = Store(store_path)
    except ViewerError:
        listener.close()
        raise
    live = Live()
    address, actual_port = listener.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    config = uvicorn.Config(
        make_app(store, live, host=host),
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
    )
    server = _Server(config, live, lambda: announce(f"http://{shown}:{actual_port}"))
    try:
        server.run(sockets=[listener])
    finally:
        store.close()


class _Server(uvicorn.Server):
    """Ends the pages' streams when it is to stop, since they would not end by themselves."""

    def __init__(self, config: uvicorn.Config, live: Live, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._live = live
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._live.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(512)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise ViewerError(
                f"port {port} on {host} is in use; choose another with --port, or --port 0"
            ) from exc
        raise ViewerError(f"cannot listen on {host} port {port}: {exc}") from exc
    return listener

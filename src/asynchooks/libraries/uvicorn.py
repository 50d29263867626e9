"""uvicorn: the application that a server has loaded is the boundary of its requests. gunicorn's
uvicorn workers load it the same way.

A server that a signal stopped ends its process by the same signal, past `atexit`: what waits to be
exported is sent when the server has shut down.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

from asynchooks import tracing
from asynchooks.libraries.asgi import TracedApplication

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "uvicorn"
MODULE = "uvicorn.server"
SUPPORTED = ("0.20", "1")


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.Config, "load", _make_load)
    patches.wrap(module.Server, "shutdown", _make_shutdown)


def _make_load(original: Any) -> Any:
    @functools.wraps(original)
    def load(self: Any) -> None:
        original(self)
        if self.interface != "wsgi":
            self.loaded_app = TracedApplication(self.loaded_app)

    return load


def _make_shutdown(original: Any) -> Any:
    @functools.wraps(original)
    async def shutdown(*args: Any, **kwargs: Any) -> None:
        try:
            await original(*args, **kwargs)
        finally:
            if tracing.stats().waiting:
                # In a thread: the loop may be more than this server's.
                await asyncio.get_running_loop().run_in_executor(None, tracing.flush)

    return shutdown

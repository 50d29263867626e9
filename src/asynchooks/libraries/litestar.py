"""Litestar: the template of the route that a request matched, and the exception that Litestar
itself answers. The request is begun by the server."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import step_out
from asynchooks.libraries.routes import record_failure, remembering_route

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "litestar"
MODULE = "litestar.routes"
SUPPORTED = ("2.0", "3")


def install(patches: Patches, module: ModuleType) -> None:
    for owner in (module.HTTPRoute, module.WebSocketRoute, module.ASGIRoute):
        patches.wrap(owner, "handle", _make_handle)


def _make_handle(original: Any) -> Any:
    remembering = remembering_route("path_format")(original)

    @functools.wraps(original)
    async def handle(self: Any, scope: Any, receive: Any, send: Any) -> None:
        try:
            await remembering(self, scope, receive, send)
        except Exception as exc:
            step_out(exc)
            # Its own exceptions say what is to be answered.
            if getattr(exc, "status_code", 500) >= 500:
                record_failure(exc)
            raise

    return handle

"""Starlette: the template of the route that a request matched, prefixes of mounts included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.libraries.routes import remembering_route

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "starlette"
MODULE = "starlette.routing"
SUPPORTED = ("0.27", "2")


def install(patches: Patches, module: ModuleType) -> None:
    for owner in (module.Route, module.WebSocketRoute):
        patches.wrap(owner, "handle", remembering_route("path_format"))
    patches.wrap(module.Mount, "handle", remembering_route("path"))

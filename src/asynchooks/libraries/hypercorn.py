"""hypercorn: the ASGI application that a server wraps is the boundary of its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.libraries.asgi import TracedApplication
from asynchooks.libraries.calls import replacing_argument

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "hypercorn"
MODULE = "hypercorn.app_wrappers"
SUPPORTED = ("0.14", "1")


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.ASGIWrapper, "__init__", replacing_argument(1, "app", TracedApplication))

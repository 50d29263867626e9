"""daphne: the ASGI application that a server is given is the boundary of its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.libraries.asgi import TracedApplication
from asynchooks.libraries.calls import replacing_argument

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "daphne"
MODULE = "daphne.server"
SUPPORTED = ("4.0", "5")


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.Server, "__init__", replacing_argument(1, "application", TracedApplication))

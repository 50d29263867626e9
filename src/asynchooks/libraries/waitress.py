"""waitress: the WSGI application that a server is given is the boundary of its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.libraries.calls import replacing_argument
from asynchooks.libraries.wsgi import TracedWSGIApplication

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "waitress"
MODULE = "waitress.server"
SUPPORTED = ("2.0", "4")


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(
        module.BaseWSGIServer,
        "__init__",
        replacing_argument(1, "application", TracedWSGIApplication),
    )

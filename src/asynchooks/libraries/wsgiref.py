"""wsgiref: what a handler runs is the boundary of its requests. Django's `runserver` is built on
it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.libraries.calls import replacing_argument
from asynchooks.libraries.wsgi import TracedWSGIApplication

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "wsgiref"
MODULE = "wsgiref.handlers"
SUPPORTED = None


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(
        module.BaseHandler, "run", replacing_argument(1, "application", TracedWSGIApplication)
    )

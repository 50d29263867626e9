"""Werkzeug's development server (`flask run`): the WSGI application that it is given is the
boundary of its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.libraries.calls import replacing_argument
from asynchooks.libraries.wsgi import TracedWSGIApplication

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "werkzeug"
MODULE = "werkzeug.serving"
SUPPORTED = ("2.0", "4")


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(
        module.BaseWSGIServer, "__init__", replacing_argument(3, "app", TracedWSGIApplication)
    )

"""granian: the ASGI or WSGI application that a worker calls is the boundary of its requests, in
worker processes, worker threads and embedded. (RSGI, granian's own interface, is not seen.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.libraries.asgi import TracedApplication
from asynchooks.libraries.calls import replacing_argument
from asynchooks.libraries.wsgi import TracedWSGIApplication

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "granian"
MODULE = "granian"
SUPPORTED = ("2.0", "3")


def install(patches: Patches, module: ModuleType) -> None:
    for name in ("mp", "mt", "embed"):
        patches.when_imported(f"granian.server.{name}", lambda server: _install(patches, server))


def _install(patches: Patches, server: ModuleType) -> None:
    for name, application in (
        ("_asgi_call_wrap", TracedApplication),
        ("_wsgi_call_wrap", TracedWSGIApplication),
    ):
        if hasattr(server, name):
            patches.wrap(server, name, replacing_argument(0, "callback", application))

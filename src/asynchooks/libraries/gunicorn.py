"""gunicorn: the WSGI application that a worker has loaded is the boundary of its requests: of the
workers sync, gthread, gevent and eventlet, each of which has a `handle_request`. uvicorn's workers
are uvicorn's."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import step_out
from asynchooks.libraries.wsgi import TracedWSGIApplication

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "gunicorn"
MODULE = "gunicorn.workers.base"
SUPPORTED = ("20.1", "28")


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.Worker, "load_wsgi", _make_load_wsgi)


def _make_load_wsgi(original: Any) -> Any:
    @functools.wraps(original)
    def load_wsgi(self: Any) -> None:
        try:
            original(self)
        except BaseException as exc:
            step_out(exc)
            raise
        if hasattr(self, "handle_request"):
            self.wsgi = TracedWSGIApplication(self.wsgi)

    return load_wsgi

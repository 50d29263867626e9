"""Threads and timers: each is a resource, and what it runs has the context of whoever called its
`start()`.

Python 3.14 does the same for the context under `-X thread_inherit_context=1`.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from functools import wraps
from typing import TYPE_CHECKING, Any

from asynchooks import _native

if TYPE_CHECKING:
    from asynchooks._patching import Patches

__all__ = ("install",)

_KIND = _native.KINDS.index("Thread")
# In the thread's __dict__ between start() and run(): there is nothing else that both its start()
# and the new thread's first code reach.
_RESOURCE = "_asynchooks_resource"
# From 3.14 on a thread has an attribute for the context that its run() is called in.
_HAS_CONTEXT = sys.version_info >= (3, 14)


def install(patches: Patches) -> None:
    """Wrap `Thread.start`, which remembers, and `Thread._bootstrap_inner`, the first code that the
    new thread runs, whatever `run` a subclass has."""
    patches.wrap(threading.Thread, "start", _make_start)
    patches.wrap(threading.Thread, "_bootstrap_inner", _make_bootstrap_inner)


def _make_start(original: Any) -> Any:
    @wraps(original)
    def start(self: threading.Thread) -> None:
        attributes = vars(self)
        takes_context = _HAS_CONTEXT and attributes.get("_context") is None
        # It takes the context of here, which a thread without one of its own is to run in.
        attributes[_RESOURCE] = _native.Resource("Thread", None, False, _KIND)
        if takes_context:
            attributes["_context"] = contextvars.copy_context()
        try:
            original(self)
        except BaseException:
            attributes.pop(_RESOURCE, None)
            if takes_context:
                attributes["_context"] = None
            raise

    return start


def _make_bootstrap_inner(original: Any) -> Any:
    @wraps(original)
    def _bootstrap_inner(self: threading.Thread) -> None:
        resource = vars(self).pop(_RESOURCE, None)
        if resource is None:
            original(self)
        else:
            resource.run_in_async_scope(original, self)

    return _bootstrap_inner

"""Threads and timers: each is a resource, and what it runs has the context of whoever called its
`start()`.

Python 3.14 does the same for the context under `-X thread_inherit_context=1`.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from asynchooks import _native

if TYPE_CHECKING:
    from asynchooks._patching import Patches

__all__ = ("install",)

_KIND = _native.KINDS.index("Thread")
# The first code of ours or the class's that a new thread runs, whatever `run` a subclass has.
# start() returns only when it has begun.
_FIRST = "_bootstrap_inner"
# From 3.14 on a thread has an attribute for the context that its run() is called in.
_HAS_CONTEXT = sys.version_info >= (3, 14)


def install(patches: Patches) -> None:
    """Wrap `Thread.start`."""
    patches.wrap(threading.Thread, "start", _make_start)


def _make_start(original: Any) -> Any:
    @wraps(original)
    def start(self: threading.Thread) -> None:
        attributes = vars(self)
        takes_context = _HAS_CONTEXT and attributes.get("_context") is None
        # It takes the context of here, which a thread without one of its own is to run in.
        resource = _native.Resource("Thread", None, False, _KIND)
        # In front of the method, and in C, so that no frame of ours is in the thread's stack.
        attributes[_FIRST] = partial(resource.run_in_async_scope, getattr(type(self), _FIRST), self)
        if takes_context:
            attributes["_context"] = contextvars.copy_context()
        try:
            original(self)
        except BaseException:
            if takes_context:
                attributes["_context"] = None
            raise
        finally:
            attributes.pop(_FIRST, None)

    return start

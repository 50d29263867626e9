"""Threads and timers: each is a resource, and what it runs has the context of whoever called its
`start()`; but the threads of a pool, which belong to nobody, so that no request's values stay in
them.

Python 3.14 does the same for the context under `-X thread_inherit_context=1`.
"""

from __future__ import annotations

import concurrent.futures.thread
import contextvars
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks._detached import call_detached

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynchooks._patching import Patches

__all__ = ("DOES", "NAME", "install")

NAME = "threads"
DOES = "a thread or timer runs in the context of whoever called its start(); a pool's, in none"

_KIND = _native.KINDS.index("Thread")
# The first code of ours or the class's that a new thread runs, whatever `run` a subclass has.
# start() returns only when it has begun.
_FIRST = "_bootstrap_inner"
# From 3.14 on a thread has an attribute for the context that its run() is called in.
_HAS_CONTEXT = sys.version_info >= (3, 14)
_POOL_WORKER = concurrent.futures.thread._worker


def install(patches: Patches) -> None:
    """Wrap `Thread.start`."""
    patches.wrap(
        threading.Thread, "start", partial(_native.Wrapper, action="through", helper=_start)
    )


def _start(original: Callable[[Any], None], self: threading.Thread) -> None:
    attributes = vars(self)
    is_of_pool = attributes.get("_target") is _POOL_WORKER
    takes_context = _HAS_CONTEXT and attributes.get("_context") is None
    resource = call_detached(_resource_of, self) if is_of_pool else _resource_of(self)
    # In front of the method, and in C, so that no frame of ours is in the thread's stack.
    attributes[_FIRST] = partial(resource.run_in_async_scope, getattr(type(self), _FIRST), self)
    if takes_context:
        attributes["_context"] = contextvars.Context() if is_of_pool else contextvars.copy_context()
    try:
        original(self)
    except BaseException:
        if takes_context:
            attributes["_context"] = None
        raise
    finally:
        attributes.pop(_FIRST, None)


def _resource_of(thread: threading.Thread) -> _native.Resource:
    """It takes the context of here, which a thread without one of its own is to run in."""
    resource = _native.Resource("Thread", None, False, _KIND)
    resource.subject = getattr(thread, "_target", None) or getattr(thread, "function", thread)
    return resource

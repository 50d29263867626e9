"""`weakref.finalize`: the function runs in the context in which the finalizer was made, and not in
that of whichever request happens to trigger the garbage collection.

`__del__` cannot be reached: it is called by the interpreter, in the context that is there.
"""

from __future__ import annotations

import contextvars
import weakref
from typing import TYPE_CHECKING, Any

from asynchooks import _native

if TYPE_CHECKING:
    from asynchooks._patching import Patches

__all__ = ("DOES", "NAME", "install")

NAME = "finalizers"
DOES = "functions of weakref.finalize run in the context in which the finalizer was made"

# By finalizer, which lives until it is called or detached, and has no room of its own.
_contexts: dict[weakref.finalize[Any, Any], contextvars.Context] = {}


def install(patches: Patches) -> None:
    """Wrap the life of a finalizer: its `__init__`, `__call__` and `detach`."""
    finalize = weakref.finalize
    patches.wrap(finalize, "__init__", lambda fn: _native.Wrapper(fn, "call", then=_is_made))
    patches.wrap(finalize, "__call__", lambda fn: _native.Wrapper(fn, "context", helper=_take))
    patches.wrap(finalize, "detach", lambda fn: _native.Wrapper(fn, "call", then=_is_detached))
    patches.on_undo(_contexts.clear)


def _is_made(_: None, finalizer: weakref.finalize[Any, Any], /, *args: Any, **kwargs: Any) -> None:
    _contexts[finalizer] = contextvars.copy_context()


def _take(finalizer: weakref.finalize[Any, Any], /, *args: Any) -> contextvars.Context | None:
    return _contexts.pop(finalizer, None)


def _is_detached(_: object, finalizer: weakref.finalize[Any, Any], /, *args: Any) -> None:
    _contexts.pop(finalizer, None)

"""A loop's exception handler runs in the context of what has failed: a task, a callback. asyncio
does so itself from Python 3.12 on; uvloop does not for tasks.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.base_events import BaseEventLoop
from functools import partial
from typing import TYPE_CHECKING, Any

from asynchooks import _native

if TYPE_CHECKING:
    import contextvars
    from types import ModuleType

    from asynchooks._patching import Patches

__all__ = ("DOES", "NAME", "install")

NAME = "exception_handlers"
DOES = "a loop's exception handler runs in the context of the task or callback that has failed"


def install(patches: Patches) -> None:
    """Wrap `call_exception_handler` of the loops that do not do so themselves."""

    make = partial(_native.Wrapper, action="context", helper=_context_of)

    def patch(module: ModuleType) -> None:
        patches.wrap(module.Loop, "call_exception_handler", make)

    if sys.version_info < (3, 12):
        patches.wrap(BaseEventLoop, "call_exception_handler", make)
    patches.when_imported("uvloop", patch)


def _context_of(loop: object, told: Any = None, /, *args: object) -> contextvars.Context | None:
    """Of the task, or of the handle, that the handler is told of."""
    if not isinstance(told, dict):
        return None
    for name in ("task", "future", "handle"):
        failed = told.get(name)
        if isinstance(failed, asyncio.Task):
            return _context_of_task(failed)
        if isinstance(failed, asyncio.Handle):
            context: contextvars.Context | None = getattr(failed, "_context", None)
            return context
    return None


def _context_of_task(task: Any) -> contextvars.Context | None:
    if sys.version_info >= (3, 12):
        context: contextvars.Context = task.get_context()
        return context
    # Its own comes first, before those of its callbacks.
    return next(iter(_native.contexts_of(task)), None)

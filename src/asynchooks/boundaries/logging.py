"""`logging`'s queues: what a `QueueListener` does with a record, in its own thread, has the context
of the call that logged it.

A record that crosses to another process leaves its context behind.
"""

from __future__ import annotations

import contextvars
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from asynchooks import _native

if TYPE_CHECKING:
    from logging import LogRecord
    from types import ModuleType

    from asynchooks._patching import Patches

__all__ = ("DOES", "NAME", "install")

NAME = "logging"
DOES = "a QueueListener handles each record in the context of the call that logged it"

# Not in the record, whose attributes formatters write and pickle sends.
_contexts: WeakKeyDictionary[LogRecord, contextvars.Context] = WeakKeyDictionary()


def install(patches: Patches) -> None:
    """Wrap the two ends of the queue. On the near one both methods, since a subclass may replace
    either."""

    def patch(module: ModuleType) -> None:
        handler, listener = module.QueueHandler, module.QueueListener
        patches.wrap(handler, "prepare", lambda fn: _native.Wrapper(fn, "call", then=_remember))
        patches.wrap(handler, "enqueue", partial(_native.Wrapper, action="arguments", helper=_note))
        patches.wrap(listener, "handle", partial(_native.Wrapper, action="context", helper=_take))

    patches.when_imported("logging.handlers", patch)


def _remember(record: LogRecord, /, *args: Any, **kwargs: Any) -> None:
    _contexts[record] = contextvars.copy_context()


def _note(handler: object, record: Any, /, *args: Any, **kwargs: Any) -> None:
    """Before it is in the queue, where the listener may be quicker than we are."""
    if hasattr(record, "__weakref__"):  # what prepare() makes of it may be a str or a dict
        _contexts[record] = contextvars.copy_context()


def _take(listener: object, record: Any, /, *args: Any) -> contextvars.Context | None:
    return _contexts.pop(record, None) if hasattr(record, "__weakref__") else None

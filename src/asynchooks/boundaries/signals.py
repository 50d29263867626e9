"""`signal.signal`: a handler runs in the context in which it was registered, and not in that of
whichever code it interrupts."""

from __future__ import annotations

import contextvars
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks._binding import bind_to, unbound

if TYPE_CHECKING:
    from asynchooks._patching import Patches

__all__ = ("DOES", "NAME", "install")

NAME = "signals"
DOES = "handlers of signal.signal run in the context in which they were registered"

_LOOPS_HANDLERS = ("asyncio.unix_events", "uvloop.loop")


def install(patches: Patches) -> None:
    """Wrap `signal.signal`, and `signal.getsignal`, which gives what was registered."""
    for name, helper in (("signal", _signal), ("getsignal", _getsignal)):
        patches.wrap(signal, name, partial(_native.Wrapper, action="through", helper=helper))
    patches.on_undo(_unbind_handlers)


def _signal(original: Any, /, *args: Any, **kwargs: Any) -> Any:
    if len(args) == 2 and not _is_indifferent(args[1]):
        args = args[0], bind_to(contextvars.copy_context(), args[1])
    return unbound(original(*args, **kwargs))


def _is_indifferent(handler: Any) -> bool:
    """Whether no code of the application runs in it: the one that raises KeyboardInterrupt, and
    those by which loops learn of a signal."""
    return (
        handler is signal.default_int_handler
        or getattr(handler, "__module__", None) in _LOOPS_HANDLERS
    )


def _getsignal(original: Any, /, *args: Any, **kwargs: Any) -> Any:
    return unbound(original(*args, **kwargs))


def _unbind_handlers() -> None:
    """Leave none of ours with the interpreter. Only its main thread may say so; elsewhere they
    stay, and call through."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if unbound(handler) is not handler:
            signal.signal(number, unbound(handler))

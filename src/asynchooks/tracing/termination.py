"""SIGTERM: what has ended is sent before the process dies by it.

Where the application handles the signal, that is its business, and leaving the ordinary way sends
what waits. Where it does not, the core has a handler of its own below Python's, which Python does
not know of (native/tracing/termination.c). It goes whenever Python sets one, so it has to come
again when Python puts the default back: uvicorn does, and raises the signal once more, to die by
it.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks._patching import Patches

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ("install", "uninstall")

_patches = Patches()


def install() -> None:
    """Learn of each time when the application puts the default back."""
    _patches.when_imported("_signal", _patch)


def uninstall() -> None:
    """Learn of that no more."""
    _patches.undo()


def _patch(module: ModuleType) -> None:
    # What `signal.signal` calls, which many have imported by name.
    _patches.wrap(module, "signal", lambda original: _native.Wrapper(original, "call", then=_then))


def _then(result: object, signalnum: int, handler: Any) -> None:
    if signalnum == signal.SIGTERM and handler == signal.SIG_DFL:
        _native.restore_termination()

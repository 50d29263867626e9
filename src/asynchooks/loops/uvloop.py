"""uvloop: its handles are its own, so the callbacks that are handed to its `call_soon` and its like
are wrapped in the core. C tasks come that way too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks import _native
from asynchooks._imports import when_imported
from asynchooks._patching import Patches

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ("install", "uninstall")

_SCHEDULERS = ("call_soon", "call_soon_threadsafe", "call_later", "call_at")

_patches = Patches()
_stop_waiting: Callable[[], None] | None = None


def install() -> None:
    """Wrap the callbacks that reach a uvloop loop from Python and from tasks."""
    global _stop_waiting
    if _stop_waiting is None:
        _stop_waiting = when_imported("uvloop", _patch)


def uninstall() -> None:
    """Hand callbacks over as they are."""
    global _stop_waiting
    if _stop_waiting is not None:
        _stop_waiting()
        _stop_waiting = None
    _patches.undo()


def _patch(module: ModuleType) -> None:
    loop_type = module.Loop
    for name in _SCHEDULERS:
        _patches.wrap(loop_type, name, _make_scheduler_of(loop_type, name))


def _make_scheduler_of(loop_type: type, name: str) -> Callable[[object], object]:
    # Not over somebody else's that calls ours already: the core would take that for the original.
    return lambda original: _native.make_scheduler(loop_type, name)

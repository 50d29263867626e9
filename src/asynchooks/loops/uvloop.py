"""uvloop: its handles are its own, so the callbacks that are handed to its `call_soon` and its like
are wrapped in the core, which stands behind these methods. C tasks come that way too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks import _native
from asynchooks._patching import Patches
from asynchooks.loops import uvloop_transports

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ("install", "uninstall")

_patches = Patches()
_is_installed = False


def install() -> None:
    """Wrap the callbacks that reach a uvloop loop from Python and from tasks, and meet its
    transports."""
    global _is_installed
    if not _is_installed:
        _is_installed = True
        _patches.when_imported("uvloop", _patch)


def uninstall() -> None:
    """Hand callbacks over as they are."""
    global _is_installed
    _is_installed = False
    _patches.undo()
    _native.uninstall_callbacks()


def _patch(module: ModuleType) -> None:
    _native.install_callbacks(module.loop.Loop)
    uvloop_transports.install(_patches, module)

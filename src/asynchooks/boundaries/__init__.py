"""How context crosses the places where Python itself loses it: one small reversible patch each."""

from __future__ import annotations

from asynchooks._patching import Patches
from asynchooks.boundaries import executors, generators, processes, spawning, threads

__all__ = ("install", "uninstall")

_BOUNDARIES = (threads, executors, processes, spawning, generators)

_patches = Patches()
_is_installed = False


def install() -> None:
    """Let context cross every boundary."""
    global _is_installed
    if not _is_installed:
        _is_installed = True
        for boundary in _BOUNDARIES:
            boundary.install(_patches)


def uninstall() -> None:
    """Put every boundary back as Python has it."""
    global _is_installed
    _patches.undo()
    _is_installed = False

"""How each event loop feeds the core."""

from __future__ import annotations

from asynchooks._patching import Patches
from asynchooks.loops import dns, stdlib, transports, uvloop, watches

__all__ = ("install", "uninstall")

_patches = Patches()


def install() -> None:
    """Feed the core from every loop that there is.

    Raises:
        RuntimeError, ImportError, AttributeError: this interpreter's asyncio does not look as
            expected; nothing is installed.
    """
    stdlib.install()
    try:
        watches.install(_patches)
        transports.install(_patches)
    except BaseException:
        _patches.undo()
        stdlib.uninstall()
        raise
    dns.install()
    uvloop.install()


def uninstall() -> None:
    """Stop feeding the core."""
    uvloop.uninstall()
    dns.uninstall()
    _patches.undo()
    stdlib.uninstall()

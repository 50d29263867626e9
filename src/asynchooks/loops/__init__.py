"""How each event loop feeds the core."""

from __future__ import annotations

from asynchooks.loops import stdlib, uvloop

__all__ = ("install", "uninstall")

_LOOPS = (stdlib, uvloop)


def install() -> None:
    """Feed the core from every loop that there is.

    Raises:
        RuntimeError: this interpreter's asyncio does not look as expected; nothing is installed.
    """
    for loop in _LOOPS:
        loop.install()


def uninstall() -> None:
    """Stop feeding the core."""
    for loop in reversed(_LOOPS):
        loop.uninstall()

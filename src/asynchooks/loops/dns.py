"""Look-ups of names on asyncio's own loop, `getaddrinfo` and `getnameinfo`: jobs of its thread
pool, below a resource that is the look-up.

So is such a function that somebody submits to a thread pool himself. A function that somebody puts
in the place of `socket.getaddrinfo` later is a job like any other.
"""

from __future__ import annotations

import socket
from asyncio.base_events import BaseEventLoop

from asynchooks import _native

__all__ = ("install", "uninstall")


def install() -> None:
    """Tell the core which functions look up names."""
    debug = vars(BaseEventLoop).get("_getaddrinfo_debug")
    _native.set_lookups((socket.getaddrinfo, socket.getnameinfo, debug))


def uninstall() -> None:
    """That none does."""
    _native.set_lookups(None)

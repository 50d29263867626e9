"""Watches and signal handlers of asyncio's own loop: one resource each, with a before and an after
for every time that the file is ready or the signal comes.

What a transport watches its socket with is no resource: that runs as the transport. The loop's own
watches are: on the pipe by which other threads wake it, and of a server on its listening socket.
"""

from __future__ import annotations

from asyncio.selector_events import BaseSelectorEventLoop
from asyncio.unix_events import _UnixSelectorEventLoop
from functools import partial
from typing import TYPE_CHECKING

from asynchooks import _native

if TYPE_CHECKING:
    from asynchooks._patching import Patches

__all__ = ("install",)


def install(patches: Patches) -> None:
    """Wrap what makes the handle of a watch: `_add_reader` and `_add_writer`, which `add_reader`,
    `sock_recv` and the like go through, and `add_signal_handler`."""
    for owner, name, kind in (
        (BaseSelectorEventLoop, "_add_reader", "Reader"),
        (BaseSelectorEventLoop, "_add_writer", "Writer"),
        (_UnixSelectorEventLoop, "add_signal_handler", "SignalHandler"),
    ):
        number = _native.KINDS.index(kind)
        patches.wrap(owner, name, partial(_native.Wrapper, action="kind", kind=number))

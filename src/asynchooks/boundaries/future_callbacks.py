"""Done-callbacks of `concurrent.futures.Future`: each runs in the context of whoever added it, as
those of asyncio's futures do, and not in that of the thread which settles the future.

A future that is done calls back at once, in the caller's own context, as ever.
"""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from asynchooks import _native

if TYPE_CHECKING:
    from asynchooks._patching import Patches

__all__ = ("DOES", "NAME", "install")

NAME = "future_callbacks"
DOES = "done-callbacks of concurrent.futures run in the context of whoever added them"


def install(patches: Patches) -> None:
    """Wrap `Future.add_done_callback`."""
    patches.wrap(Future, "add_done_callback", partial(_native.Wrapper, action="done_callback"))

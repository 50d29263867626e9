"""`asyncio.Runner`: what its caller sets between two `run()` is seen in the next one.

A runner keeps one context for all its runs, a copy of the one in which it began. What the caller
has changed since then is set in it; what the runs themselves have set stays.
"""

from __future__ import annotations

import asyncio
import contextvars
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from asynchooks import _native

if TYPE_CHECKING:
    from asynchooks._patching import Patches

__all__ = ("DOES", "NAME", "install")

NAME = "runners"
DOES = "what is set between two run() of an asyncio.Runner is seen in the second"

_MISSING = object()

# What each runner's caller had at the last run.
_before: WeakKeyDictionary[asyncio.Runner, contextvars.Context] = WeakKeyDictionary()


def install(patches: Patches) -> None:
    """Wrap `Runner.run`."""
    patches.wrap(asyncio.Runner, "run", partial(_native.Wrapper, action="arguments", helper=_carry))


def _carry(
    runner: asyncio.Runner,
    /,
    *args: Any,
    context: contextvars.Context | None = None,
    **kwargs: Any,
) -> None:
    own = vars(runner).get("_context")  # None as long as the runner has not begun
    if context is not None or asyncio._get_running_loop() is not None:
        return
    now = contextvars.copy_context()
    before = _before.get(runner, own)
    _before[runner] = now
    if own is not None and before is not None:
        for variable, value in now.items():
            if before.get(variable, _MISSING) is not value:
                own.run(variable.set, value)

"""asyncmy: what cursors execute and call, and waiting for the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.libraries.mysql import trace_cursors
from asynchooks.libraries.pools import waiting

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "asyncmy"
MODULE = "asyncmy"
# Before 0.2.9, its methods do not tell that they are coroutine functions.
SUPPORTED = ("0.2.9", "1")


def install(patches: Patches, module: ModuleType) -> None:
    trace_cursors(patches, module.cursors.Cursor)
    patches.wrap(module.pool.Pool, "_acquire", waiting)

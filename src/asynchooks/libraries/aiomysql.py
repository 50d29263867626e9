"""aiomysql: what cursors execute and call, and waiting for the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.libraries.mysql import trace_cursors
from asynchooks.libraries.pools import waiting

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "aiomysql"
MODULE = "aiomysql"
SUPPORTED = ("0.0.22", "1")


def install(patches: Patches, module: ModuleType) -> None:
    trace_cursors(patches, module.cursors.Cursor)
    patches.wrap(module.pool.Pool, "_acquire", waiting)

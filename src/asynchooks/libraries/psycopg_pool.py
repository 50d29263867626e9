"""psycopg_pool: waiting for a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.libraries.pools import waiting

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "psycopg-pool"
MODULE = "psycopg_pool"
SUPPORTED = ("3.1", "4")


def install(patches: Patches, module: ModuleType) -> None:
    for pool in (module.ConnectionPool, module.AsyncConnectionPool):
        patches.wrap(pool, "getconn", waiting)

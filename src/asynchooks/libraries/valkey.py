"""valkey: as redis-py, which it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.libraries.redis import trace_package

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "valkey"
MODULE = "valkey"
SUPPORTED = ("6.0", "7")


def install(patches: Patches, module: ModuleType) -> None:
    trace_package(patches, module, "Valkey")

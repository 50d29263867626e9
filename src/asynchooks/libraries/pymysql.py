"""PyMySQL: what cursors execute and call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.libraries.mysql import trace_cursors

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "pymysql"
MODULE = "pymysql"
SUPPORTED = ("0.9.3", "2")


def install(patches: Patches, module: ModuleType) -> None:
    trace_cursors(patches, module.cursors.Cursor)

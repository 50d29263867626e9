"""Spawned processes: they know their command line only when they have begun. Whose code is whose,
which hangs on it (an application that is installed like a library), is then said again."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from asynchooks import sites

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

__all__ = ("install",)


def install(patches: Patches) -> None:
    """Wrap the first thing that a spawned process is told to do."""

    def patch(module: ModuleType) -> None:
        patches.wrap(module, "prepare", _make_prepare)

    patches.when_imported("multiprocessing.spawn", patch)


def _make_prepare(original: Any) -> Any:
    @wraps(original)
    def prepare(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        sites.configure()

    return prepare

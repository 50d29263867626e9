"""Processes that are spawned, or forked by a server: the stores of portable storages travel to
them. A process that is forked has a copy of all that its parent has.

They know their command line only when they have begun. Whose code is whose, which hangs on it (an
application that is installed like a library), is then said again.
"""

from __future__ import annotations

from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from asynchooks import _native, sites
from asynchooks.context import carriers

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from types import ModuleType

    from asynchooks._patching import Patches

__all__ = ("DOES", "NAME", "install")

NAME = "processes"
DOES = "the stores of portable storages travel to processes that are started"


def install(patches: Patches) -> None:
    """Wrap what writes a process for its child, and the first thing that a child is told to do."""

    def patch_reduction(module: ModuleType) -> None:
        patches.wrap(module, "dump", partial(_native.Wrapper, action="arguments", helper=_enclose))

    def patch_spawn(module: ModuleType) -> None:
        patches.wrap(module, "prepare", _make_prepare)

    patches.when_imported("multiprocessing.reduction", patch_reduction)
    patches.when_imported("multiprocessing.spawn", patch_spawn)


class _ProcessWithStores:
    """Arrives as the process alone, when its stores are in force."""

    def __init__(self, carrier: bytes, process: BaseProcess) -> None:
        self._carrier = carrier
        self._process = process

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive, (self._carrier, self._process)


def _enclose(
    obj: object, *args: Any, **kwargs: Any
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    from multiprocessing.process import BaseProcess  # imported by now

    if isinstance(obj, BaseProcess) and (carrier := carriers.capture()) is not None:
        return (_ProcessWithStores(carrier, obj), *args), kwargs
    return None


def _arrive(carrier: bytes, process: BaseProcess) -> BaseProcess:
    """In the child, whose only thread runs nothing but this process. Unpickling `process` has
    imported the module that may make the storages."""
    carriers.enter_carrier(carrier)
    return process


def _make_prepare(original: Any) -> Any:
    @wraps(original)
    def prepare(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        sites.configure()

    return prepare

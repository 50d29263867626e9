"""Replacing attributes of other people's classes and modules, and putting them back.

Every patch that asynchooks makes in Python goes through `Patches`, so that `disable()` can undo
all of them, in reverse order, and so that it never undoes what somebody else did after us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from asynchooks import _native
from asynchooks._imports import when_imported

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ("Patch", "Patches", "step_out")

_ABSENT: Any = object()


class Patch(NamedTuple):
    """One replaced attribute, and what has been put over it since: None where it is in place."""

    name: str
    covered_by: object | None


class Patches:
    """A set of replaced attributes that is undone as a whole. Not thread-safe: the engine's lock
    is held by whoever installs and undoes."""

    def __init__(self) -> None:
        self._replaced: list[tuple[type | ModuleType, str, Any, Any]] = []
        # By module, what takes the wish back.
        self._waits: dict[str, Callable[[], None]] = {}
        self._on_undo: list[Callable[[], None]] = []
        # What undo() has left in place, below somebody else's: the original, and ours.
        self._covered: dict[tuple[type | ModuleType, str], tuple[Any, Any]] = {}

    def replace(self, owner: type | ModuleType, name: str, value: Any) -> None:
        """Set `owner.name` to `value`, also where `owner` is an immutable type of the C library
        (`sqlite3.Cursor`). The original, or its absence, is remembered."""
        if not self._is_covered(owner, name):
            self._replace(owner, name, value)

    def _replace(self, owner: type | ModuleType, name: str, value: Any) -> None:
        original = vars(owner).get(name, _ABSENT)
        _set(owner, name, value)
        self._replaced.append((owner, name, original, value))

    def wrap(self, owner: type | ModuleType, name: str, make: Callable[[Any], Any]) -> None:
        """Replace `owner.name` by `make(original)`; `original` is what `getattr` finds."""
        if not self._is_covered(owner, name):
            self._replace(owner, name, make(getattr(owner, name)))

    def when_imported(self, name: str, patch: Callable[[ModuleType], None]) -> None:
        """Call `patch(module)` as soon as module `name` has been imported, unless all is undone
        before. Once for each module."""

        def patch_and_forget(module: ModuleType) -> None:
            self._waits.pop(name, None)
            patch(module)

        self._waits[name] = lambda: None  # it may be called at once, and then waits no more
        stop_waiting = when_imported(name, patch_and_forget)
        if name in self._waits:
            self._waits[name] = stop_waiting

    def on_undo(self, callback: Callable[[], None]) -> None:
        """Call `callback()` when all is undone."""
        self._on_undo.append(callback)

    def listed(self) -> list[Patch]:
        """What is replaced now, in order."""
        patches = []
        for owner, name, _, value in self._replaced:
            found = vars(owner).get(name)
            patches.append(Patch(f"{_name_of(owner)}.{name}", None if found is value else found))
        return patches

    def awaited_modules(self) -> list[str]:
        """The modules whose import is waited for."""
        return [*self._waits]

    def undo(self) -> None:
        """Put back every attribute that still is ours. One that was replaced over us stays: it
        calls us, and we call through; the next time we do not put another over it."""
        while self._waits:
            self._waits.popitem()[1]()
        while self._replaced:
            owner, name, original, value = self._replaced.pop()
            if vars(owner).get(name, _ABSENT) is value:
                _set(owner, name, original)
            else:
                self._covered[owner, name] = original, value
        while self._on_undo:
            self._on_undo.pop()()

    def _is_covered(self, owner: type | ModuleType, name: str) -> bool:
        """Whether what we once put there is still reached, by what somebody put over it."""
        if (owner, name) not in self._covered:
            return False
        original, value = self._covered.pop((owner, name))
        current = vars(owner).get(name, _ABSENT)
        if current is value:  # it has come to light again
            _set(owner, name, original)
            return False
        if current is original:
            return False
        self._replaced.append((owner, name, original, value))
        return True


def step_out(exc: BaseException) -> None:
    """Take the wrapper's own frame out of the traceback of `exc`, before a bare `raise`."""
    if exc.__traceback__ is not None:
        exc.__traceback__ = exc.__traceback__.tb_next


def _name_of(owner: type | ModuleType) -> str:
    return f"{owner.__module__}.{owner.__qualname__}" if isinstance(owner, type) else owner.__name__


def _set(owner: type | ModuleType, name: str, value: Any) -> None:
    if isinstance(owner, type):
        if value is _ABSENT:
            _native.delete_type_attribute(owner, name)
        else:
            _native.set_type_attribute(owner, name, value)
    elif value is _ABSENT:
        delattr(owner, name)
    else:
        setattr(owner, name, value)

"""What is known of somebody else's objects, beside them: by which they are, not what they equal."""

from __future__ import annotations

import weakref
from typing import Generic, TypeVar

__all__ = ("Beside",)

V = TypeVar("V")


class Beside(Generic[V]):
    """A value for each of some objects, as long as the object lives. The objects need no hash."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[int, V] = {}

    def put(self, owner: object, value: V) -> None:
        """Give `owner` a value, in the place of the one that it has."""
        key = id(owner)
        if key not in self._values:
            weakref.finalize(owner, self._values.pop, key, None).atexit = False
        self._values[key] = value

    def get(self, owner: object) -> V | None:
        """The value of `owner`, or None."""
        return self._values.get(id(owner))

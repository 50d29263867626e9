"""What is known of somebody else's objects, beside them: by which they are, not what they equal."""

from __future__ import annotations

import weakref
from typing import Generic, TypeVar

__all__ = ("Beside",)

V = TypeVar("V")


class Beside(Generic[V]):
    """A value for each of some objects, as long as the object lives. The objects need no hash."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: dict[int, V] = {}  # by the id of the object

    def put(self, owner: object, value: V) -> None:
        """Give `owner` a value, in the place of the one that it has."""
        key = id(owner)
        if key not in self.values:
            weakref.finalize(owner, self.values.pop, key, None).atexit = False
        self.values[key] = value

    def get(self, owner: object) -> V | None:
        """The value of `owner`, or None."""
        return self.values.get(id(owner))

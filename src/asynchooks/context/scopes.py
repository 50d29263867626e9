"""`with storage.use(store):` -- a scope that may be left anywhere: in another task, in another
thread, or out of order."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from asynchooks._native import MISSING, Entry, Storage

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable
    from types import FrameType, TracebackType

__all__ = ("Scope", "Use", "store_in", "watch")

T = TypeVar("T")

_entered: Callable[[Use, FrameType], None] | None = None
_left: Callable[[Use], None] | None = None


def watch(
    entered: Callable[[Use, FrameType], None] | None, left: Callable[[Use], None] | None
) -> None:
    """From now on have `entered` told of each use as it begins, and by which frame, and `left` of
    the end of each that has a generator (boundaries.generators); None: nobody."""
    global _entered, _left
    _entered = entered
    _left = left


class Use:
    """One entering of a scope. The contexts that have come from it hold it beside the store, and
    whoever leaves the scope finds it there: that is how one tells that what is in force is ours,
    also where the store is the same as somebody else's, or another was entered inside.

    Attributes:
        scope: what was entered.
        variable: whose value it is that was set.
        before: what was in force before, and will be after.
        inside: what was in force where the generator that has entered it stands still.
        generator: the frame of that generator, or None.
    """

    __slots__ = ("_token", "before", "generator", "inside", "scope", "variable")

    def __init__(self, scope: Scope[Any], variable: contextvars.ContextVar[Any]) -> None:
        self.scope = scope
        self.variable = variable
        self.before: Any = variable.get(MISSING)
        self.inside: Any = MISSING
        self.generator: FrameType | None = None
        # Says whether it is left in the context that it was entered in.
        self._token: contextvars.Token[Any] | None = variable.set(Entry(scope.store, self))

    def suspend(self) -> None:
        """Put what is outside in force."""
        self.inside = self.variable.get(MISSING)
        self.variable.set(self.before)

    def resume(self) -> None:
        """Put what was inside in force again, in whatever context: that has an outside of its
        own."""
        self._token = None
        self.before = self.variable.get(MISSING)
        self.variable.set(self.inside)

    def below(self, before: Any) -> None:
        """What this has come to stand on was left before it: it stands on `before` now."""
        self._token = None
        self.before = before

    def leave(self) -> None:
        """Put what was before in force, here where this is."""
        if self._token is None:
            self.variable.set(self.before)
        else:
            try:
                self.variable.reset(self._token)
            except ValueError:
                # Another context, that came from the one that it was entered in. There it may be
                # left yet.
                self.variable.set(self.before)
                return
        # What is still held by the tasks that were started inside is this alone, and not all that
        # was below it.
        self._token = None
        self.before = self.inside = MISSING


class Scope(Generic[T]):
    """A store that is to be in force in a block, for `with` and `async with`. May be entered any
    number of times, also at once and inside itself."""

    __slots__ = ("_storage", "store")

    def __init__(self, storage: Storage, store: T) -> None:
        self._storage = storage
        self.store = store

    def __enter__(self) -> T:
        use = Use(self, self._storage._variable)
        if _entered is not None:
            _entered(use, sys._getframe(1))
        return self.store

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        above: Use | None = None
        value = self._storage._variable.get(MISSING)
        while type(value) is Entry:
            use: Use = value.use
            if use.scope is self:
                if use.generator is not None and _left is not None:
                    _left(use)
                if above is None:
                    use.leave()
                else:
                    above.below(use.before)
                return
            above = use
            value = use.before

    async def __aenter__(self) -> T:
        use = Use(self, self._storage._variable)
        if _entered is not None:
            _entered(use, sys._getframe(1))
        return self.store

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(exc_type, exc, traceback)


def store_in(context: contextvars.Context, storage: Storage) -> Any:
    """The store that `storage` has in `context`; MISSING if it has none there. One look-up."""
    value = context.get(storage._variable, MISSING)
    return value.store if type(value) is Entry else value

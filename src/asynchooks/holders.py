"""`held()`: who keeps a store in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from asynchooks import _native
from asynchooks.context.scopes import store_in
from asynchooks.hooks import kinds_mask
from asynchooks.inspection import ResourceInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynchooks.sites import Site
    from asynchooks.storage import AsyncLocalStorage

__all__ = ("Holder", "held", "judge_roots_with")

T = TypeVar("T")

_ANY: Any = object()

# Says of a root whether the request that it is has ended; None: it is no request. Tracing, which
# stands above this module, knows.
_has_ended: Callable[[int], bool | None] | None = None


def judge_roots_with(has_ended: Callable[[int], bool | None] | None) -> None:
    """Ask `has_ended` of roots from now on; None: nobody."""
    global _has_ended
    _has_ended = has_ended


class Holder(NamedTuple, Generic[T]):
    """One live resource whose context holds a store.

    Attributes:
        info: the resource: what it is, what made it, where, its age.
        store: the store.
    """

    info: ResourceInfo
    store: T

    @property
    def kind(self) -> str:
        """The resource's kind: one of `asynchooks.KINDS`."""
        return self.info.kind

    @property
    def site(self) -> Site | None:
        """The line of the user's code that made the resource, where that is known."""
        return self.info.site

    def __str__(self) -> str:
        return f"{self.store!r} held by {self.info}"


def held(storage: AsyncLocalStorage[T], *, store: T = _ANY, ended: bool = False) -> list[Holder[T]]:
    """What keeps the stores of `storage` alive: each live resource (task, handle, timer, job,
    thread, snapshot, async generator, future that something waits for) that has a context which
    holds one, the oldest first.

        for holder in asynchooks.held(current_user, ended=True):
            print(holder)  # <User 7> held by TimerHandle 812 expire at cache.py:31 put, ...

    A finished task that is kept keeps its context; a transport keeps one through its handles. With
    the engine on; what is older than `enable()` is not seen until it runs.

    Args:
        store: those of this one alone.
        ended: only what is left of work that is over: of requests that have ended, and, below what
            is no request, of roots that are gone.

    Any thread. Costs 0.5 µs for each live resource and 2 more for each that is found, while other
    threads may run.
    """
    rows = _native.snapshot(kinds_mask(_native.KINDS), 0)
    found: list[Holder[T]] = []
    for row in rows:
        for context in _native.contexts_of(row[0]):
            value = store_in(context, storage)
            if value is not _native.MISSING and (store is _ANY or value is store):
                found.append(Holder(ResourceInfo._make(row), value))
                break
    if ended:
        live = {row[1] for row in rows} | {_MAIN}
        found = [holder for holder in found if _is_over(holder.info.root, live)]
    found.sort(key=lambda holder: holder.info.async_id)
    return found


# The root of what the program's top level makes.
_MAIN = 1


def _is_over(root: int, live: set[int]) -> bool:
    has_ended = _has_ended(root) if _has_ended is not None else None
    return root not in live if has_ended is None else has_ended

"""`snapshot()` and `bind()`: the context of one place, for what runs in another."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from asynchooks import _native
from asynchooks.context import portable
from asynchooks.context.flow import ContextFlow, flowing, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ("Snapshot", "bind", "snapshot")

P = ParamSpec("P")
R = TypeVar("R")
# A function of any kind, a coroutine, a generator or an async generator.
Work = TypeVar("Work")


class Snapshot(_native.Resource):
    """The context of the place where it was taken, to call functions in: `snapshot()` takes one.

    Any number of calls may be inside at once, in any threads: each has a copy. What executes in one
    is caused by the place: a snapshot is a resource that it has made. It pickles: in another
    process it has the stores of portable storages, and nothing else.
    """

    __slots__ = ("__weakref__", "_stores")

    # What came from another process. It is entered at each call, since the modules that make the
    # storages may be imported yet.
    _stores: Mapping[str, Any] | None

    def __new__(cls, type_name: str = "Snapshot", stores: Mapping[str, Any] | None = None) -> Self:
        make = super().__new__
        if stores is None:
            self = make(cls, type_name, None, False)
        else:
            self = contextvars.Context().run(make, cls, type_name, None, False)
        self._stores = stores
        return self

    def __call__(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `fn(*args, **kwargs)` in the context of the snapshot. Where that gives a coroutine
        or generator, its code runs in it, too."""
        return self.flow().call(fn, *args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return Snapshot, ("Snapshot", self.portable_stores())

    def portable_stores(self) -> Mapping[str, Any]:
        """What of it may leave the process: the stores of portable storages, by name."""
        return portable.stores_in(self._held()) if self._stores is None else self._stores

    @property
    def context(self) -> contextvars.Context:
        """A copy of what it holds."""
        context = self._held().copy()
        if self._stores is not None:
            context.run(portable.enter, self._stores)
        return context

    def flow(self) -> ContextFlow:
        """A flow of code in it."""
        return ContextFlow(self.context, self)

    def _held(self) -> contextvars.Context:
        return _native.contexts_of(self)[0]


def snapshot() -> Snapshot:
    """What calls functions in the context of this place, whoever calls, and wherever.

        here = asynchooks.snapshot()
        queue.put((here, item))
        ...
        here, item = queue.get()  # in a worker
        here(handle, item)  # as where the item was put

    Costs about a microsecond.
    """
    return Snapshot()


def bind(work: Work) -> Work:
    """`work`, to be run in the context of this place: with the stores and other context variables
    that are in force here, and caused by what executes here.

        client.on_message = asynchooks.bind(handle)  # called in the client's own thread

    Functions, coroutine functions, generator and async generator functions keep their kind, name
    and signature; calls may overlap, in any number of threads, and see nothing of each other. A
    coroutine, a generator or an async generator that exists is bound as well: without that, its
    code runs in the context of whoever awaits or steps it.

    Raises:
        TypeError: `work` is nothing that could run.
    """
    here = Snapshot(name_of(work))
    bound: Work = flowing(work, here.flow, "bind")
    return bound

"""`AsyncLocalStorage`: a value that is set once and read anywhere downstream.

Each storage is one `contextvars.ContextVar`, so that asyncio itself carries it over `await`, tasks
and timers, and `get_store()` costs what `ContextVar.get` costs.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from asynchooks import _portable
from asynchooks._flow import MISSING, Flow

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ("AsyncLocalStorage",)

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")


class AsyncLocalStorage(Generic[T]):
    """Node's `AsyncLocalStorage`: one value, the *store*, for everything that a flow of
    asynchronous work does, however deep.

    Args:
        name: shown by `repr`.
        default: what `get_store()` gives where no store is set.
        portable: whether its stores travel to processes that are started and to jobs of process
            pools, pickled. The other process finds the storage by its name.

    Raises:
        ValueError: a portable storage has no name.

    Any thread may use it. A store lives as long as some context holds it.
    """

    __slots__ = ("__weakref__", "_default", "_name", "_variable")

    def __init__(self, *, name: str = "", default: T | None = None, portable: bool = False) -> None:
        self._name = str(name)
        self._default = default
        # A new variable at each disable(): contexts that still hold a store of the old one
        # cannot bring it back.
        self._variable: contextvars.ContextVar[T] = contextvars.ContextVar(self._name)
        if portable:
            _portable.register(self)

    @property
    def name(self) -> str:
        """The name given at creation."""
        return self._name

    @property
    def default(self) -> T | None:
        """What `get_store()` gives where no store is set."""
        return self._default

    def __repr__(self) -> str:
        return f"<AsyncLocalStorage name={self._name!r} at {id(self):#x}>"

    def get_store(self) -> T | None:
        """The store in force here, or the default."""
        store = self._variable.get(MISSING)
        return self._default if store is MISSING else store

    def run(self, store: T, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `fn(*args, **kwargs)` with `store` in force, and return what it returns.

        A function has the store during the call. A coroutine function, generator function or
        async generator function gives its coroutine or generator, whose body has the store
        exactly while it runs, whoever steps it; the code that steps it does not.

        What `fn` starts (tasks, timers) inherits the store. Nothing leaks out of `run`, and
        leaving it never raises, in whichever context or thread that happens.
        """
        flow = Flow(self._variable, store)
        result = flow.run(fn, *args, **kwargs)
        if inspect.iscoroutine(result):
            return cast("R", flow.run_coroutine(result))
        if inspect.isgenerator(result):
            return cast("R", flow.run_generator(result))
        if inspect.isasyncgen(result):
            return cast("R", flow.run_async_generator(result))
        return result

    def exit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `fn(*args, **kwargs)` with no store in force: `get_store()` gives the default."""
        return self.run(cast("T", MISSING), fn, *args, **kwargs)

    def enter_with(self, store: T) -> None:
        """Put `store` in force for the rest of this task, thread or callback, and for what it
        starts from here on.

        Unlike Node's, a coroutine that is awaited directly shares its caller's context, so its
        `enter_with` is seen by the caller; a task's is not. Where a scope has an end, `use` or
        `run` is the better tool.
        """
        self._variable.set(store)

    def use(self, store: T) -> Scope[T]:
        """A scope with `store` in force: `with storage.use(store):`, or `async with`.

        Leaving it restores what was in force before, and never raises.
        """
        return Scope(self, store)

    def disable(self) -> None:
        """Drop every store of this storage, in every context, for good.

        `get_store()` gives the default from now on, also in timers and tasks that were started
        with a store. `run`, `use` and `enter_with` work on as with a new storage.
        """
        self._variable = contextvars.ContextVar(self._name)

    @staticmethod
    def bind(fn: Callable[P, R]) -> Callable[P, R]:
        """`fn`, to be called in the context of this place, wherever it is called: with the stores
        that all storages have here. Name and signature are kept. Calls may overlap, in any number
        of threads."""
        if not callable(fn):
            raise TypeError(f"bind() got {fn!r}, expected a function")
        context = contextvars.copy_context()

        @functools.wraps(fn)
        def bound(*args: P.args, **kwargs: P.kwargs) -> R:
            return context.copy().run(fn, *args, **kwargs)

        return bound

    @staticmethod
    def snapshot() -> Callable[..., Any]:
        """A function `f(fn, *args, **kwargs)` that calls `fn` in the context of this place.

        Calls may overlap, in any number of threads: each has a copy of its own.
        """
        context = contextvars.copy_context()

        def run_in_snapshot(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
            return context.copy().run(fn, *args, **kwargs)

        return run_in_snapshot


class Scope(Generic[T]):
    """One use of a store, for `with` and `async with`. May be used again after it was left."""

    __slots__ = ("_previous", "_storage", "_store", "_variable")

    def __init__(self, storage: AsyncLocalStorage[T], store: T) -> None:
        self._storage = storage
        self._store = store

    def __enter__(self) -> T:
        # The variable is remembered: disable() inside the scope gives the storage a new one.
        self._variable = self._storage._variable
        self._previous = self._variable.get(MISSING)
        self._variable.set(self._store)
        return self._store

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Set, not Token.reset: a token refuses another Context than its own, and a scope may well
        # be left in another task than it was entered in. Unset and MISSING read the same.
        self._variable.set(self._previous)

    async def __aenter__(self) -> T:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(exc_type, exc, traceback)

"""`AsyncLocalStorage`: a value that is set once and read anywhere downstream.

Each storage is one `contextvars.ContextVar`, so that asyncio itself carries it over `await`, tasks
and timers, and `get_store()` costs what `ContextVar.get` costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

from asynchooks import _native
from asynchooks.context import portable as portables
from asynchooks.context import snapshots
from asynchooks.context.flow import StoreFlow, flowing
from asynchooks.context.scopes import Scope

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable

__all__ = ("AsyncLocalStorage",)

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")


@_native.own_methods
class AsyncLocalStorage(_native.Storage, Generic[T]):
    """Node's `AsyncLocalStorage`: one value, the *store*, for everything that a flow of
    asynchronous work does, however deep.

        tenant = AsyncLocalStorage[str](name="tenant")

        async def handle(request):
            with tenant.use(request.headers["tenant"]):
                await work()  # and all that it calls and starts: tenant.get_store()

    Args:
        name: shown by `repr`.
        default: what `get_store()` gives where no store is set.
        portable: whether its stores may leave the process: they travel with pickled snapshots, to
            processes that are started and with jobs of process pools, pickled. The other process
            finds the storage by its name.

    Any thread may use it. A store lives as long as some context holds it.

    Raises:
        ValueError: it is to be portable, and has no name.
    """

    __slots__ = ("__weakref__",)

    if TYPE_CHECKING:
        # What the C base does, with types.
        name: str
        default: T | None

        def get_store(self) -> T | None: ...
        def run(self, store: T, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
        def exit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
        def enter_with(self, store: T, /) -> None: ...
        def disable(self) -> None: ...

    def __init__(self, *, name: str = "", default: T | None = None, portable: bool = False) -> None:
        name = str(name)
        super().__init__(name, default)
        if portable:
            if not name:
                raise ValueError(
                    "a portable storage has no name, expected `name=`: other processes find it "
                    "by that"
                )
            portables.register(self)

    def __repr__(self) -> str:
        return f"<AsyncLocalStorage name={self.name!r} at {id(self):#x}>"

    def use(self, store: T) -> Scope[T]:
        """A scope with `store` in force: `with storage.use(store):`, or `async with`.

        Leaving it restores what was in force before, whatever was set inside, and never raises: in
        a context that the scope is not in force in, it changes nothing. Inside a generator it is
        in force while the generator runs, not in the code that steps it (with the engine on, from
        Python 3.12; `asynchooks.isolated` does so everywhere).
        """
        return Scope(self, store)

    def wrap(self, factory: Callable[[], T]) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """A decorator: each call of the function runs with a store of its own, `factory()`.

            @tenant.wrap(lambda: "nobody")
            async def nightly(): ...

        For functions, coroutine functions, generator and async generator functions, as `run`;
        what it makes is of the same kind. `factory` is called when the function's code begins.
        """
        return lambda fn: flowing(fn, lambda: StoreFlow(self._variable, factory()), "wrap")

    @staticmethod
    def bind(fn: Callable[P, R]) -> Callable[P, R]:
        """`asynchooks.bind`: `fn`, to be called in the context of this place: with the stores that
        all storages have here."""
        return snapshots.bind(fn)

    @staticmethod
    def snapshot() -> snapshots.Snapshot:
        """`asynchooks.snapshot`: what calls functions in the context of this place."""
        return snapshots.snapshot()

    def _carry(self, variable: contextvars.ContextVar[T], store: T, result: R) -> R:
        """Called by `run` where a call has given what runs in steps."""
        return StoreFlow(variable, store).carry(result)

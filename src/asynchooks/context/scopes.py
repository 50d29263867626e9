"""`with storage.use(store):` -- a scope that may be left anywhere: in another task, in another
thread, or out of order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from asynchooks import _native
from asynchooks._native import MISSING, Entry

if TYPE_CHECKING:
    import contextvars
    from types import TracebackType

__all__ = ("Scope", "store_in")

T = TypeVar("T")


class Scope(_native.StoreScope, Generic[T]):
    """A store that is to be in force in a block, for `with` and `async with`. May be entered any
    number of times, also at once and inside itself."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __enter__(self) -> T: ...

    async def __aenter__(self) -> T:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(exc_type, exc, traceback)


def store_in(context: contextvars.Context, storage: _native.Storage) -> Any:
    """The store that `storage` has in `context`; MISSING if it has none there. One look-up."""
    value = context.get(storage._variable, MISSING)
    return value.store if type(value) is Entry else value

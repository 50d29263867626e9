"""`AsyncResource`: make what you do yourself (a pool, a queue, a callback registry) an asynchronous
operation like those of the loop, with an id, a cause and a context."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from asynchooks import _native

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("AsyncResource",)

P = ParamSpec("P")
R = TypeVar("R")


class AsyncResource(_native.Resource):
    """Node's `AsyncResource`: an operation of your own.

    It keeps the context in force where it was made; `run_in_async_scope(fn, *args)` calls a
    function in it, with this resource as what executes. Subclass it, or make plain ones.

    Args:
        type: what kind of operation this is, for hooks to read. Not empty.
        trigger_async_id: the id of what caused it, where that is not what executes now.
        requires_manual_destroy: tell destroy hooks only when `emit_destroy()` is called, not when
            the object is collected.
    """

    def __new__(
        cls,
        type: str,  # noqa: A002 -- Node's name for it
        *args: Any,
        trigger_async_id: int | None = None,
        requires_manual_destroy: bool = False,
        **kwargs: Any,
    ) -> Self:
        if not isinstance(type, str):
            raise TypeError(f"`type` is {type!r}, expected a str")
        if not type:
            raise ValueError("`type` is empty, expected a name for this kind of resource")
        if trigger_async_id is not None:
            if not isinstance(trigger_async_id, int):
                raise TypeError(f"`trigger_async_id` is {trigger_async_id!r}, expected an int")
            if not 0 <= trigger_async_id < 1 << 64:
                raise ValueError(f"`trigger_async_id` is {trigger_async_id}, expected an async id")
        return super().__new__(cls, type, trigger_async_id, requires_manual_destroy)

    def bind(self, fn: Callable[P, R]) -> Callable[P, R]:
        """`fn`, to be called in the scope of this resource, with its name and signature kept."""
        if not callable(fn):
            raise TypeError(f"bind() got {fn!r}, expected a function")

        @functools.wraps(fn)
        def bound(*args: P.args, **kwargs: P.kwargs) -> R:
            result: R = self.run_in_async_scope(fn, *args, **kwargs)
            return result

        return bound

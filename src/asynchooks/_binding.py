"""Binding a function to a context, so that whoever gets it cannot tell: it looks like the function,
equals it, and has no frame of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks import _native

if TYPE_CHECKING:
    import contextvars

__all__ = ("bind_argument", "bind_to", "unbound")


def bind_to(context: contextvars.Context, fn: Any, action: str = "context") -> Any:
    """`fn`, each call of it in a copy of `context`; as a "job" with what the thread that calls it
    has set beside. What cannot be called stays as it is: the error is for whoever gets it to
    raise. So does everything once the engine is off: somebody may have kept a patched function."""
    if not callable(fn) or not _native.is_enabled():
        return fn
    return _native.Wrapper(fn, action, helper=context)


def bind_argument(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    position: int,
    name: str | None,
    context: contextvars.Context,
    action: str = "context",
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call with one of them, a function given by position or (None: never) by
    name, bound to `context`; as they are where it is not given."""
    if len(args) > position:
        bound = bind_to(context, args[position], action)
        return (*args[:position], bound, *args[position + 1 :]), kwargs
    if name in kwargs:
        return args, {**kwargs, name: bind_to(context, kwargs[name], action)}
    return args, kwargs


def unbound(fn: Any) -> Any:
    """The function that `bind_to` has bound; anything else as it is."""
    return fn.__wrapped__ if type(fn) is _native.Wrapper else fn

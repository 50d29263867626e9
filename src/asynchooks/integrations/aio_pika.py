"""aio-pika: each message is handled in the context in which its callback was given to `consume`,
also after a reconnect; by itself, in that of who happens to have opened the channel.

The tasks of a connection have the context of nobody who uses it: what they do is not part of the
request that has opened it.
"""

from __future__ import annotations

import contextvars
import inspect
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any

from asynchooks.integrations.wrapping import (
    in_context,
    in_the_outermost_context,
    with_arguments,
)

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap


class _Registered(partial[Any]):
    """A callback, and where it was given. It looks like that, and is a coroutine function if that
    is one."""

    context: contextvars.Context


def _register(
    queue: object, callback: Any, *args: Any, **kwargs: Any
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    owner = getattr(callback, "__self__", None)
    if type(owner).__module__.startswith("aio_pika."):
        return None  # an iterator, which hands on what it gets
    if _registered(callback) is not None:
        return None  # a robust queue gives it to the queue below it, and again after a reconnect
    registered = _Registered(callback)
    registered.context = contextvars.copy_context()
    update_wrapper(registered, callback)
    return (queue, registered, *args), kwargs


def _registered(callback: Any) -> _Registered | None:
    """What a callback was registered as, maybe below a wrapper of somebody's who looks on."""
    found = inspect.unwrap(callback, stop=lambda below: isinstance(below, _Registered))
    return found if isinstance(found, _Registered) else None


def _of_callback(callback: Any, *args: Any, **kwargs: Any) -> contextvars.Context | None:
    registered = _registered(callback)
    return registered.context if registered is not None else None


PATCHES: dict[str, Wrap] = {
    "aio_pika.queue:Queue.consume": with_arguments(_register),
    "aio_pika.robust_queue:RobustQueue.consume": with_arguments(_register),
    "aio_pika.queue:create_task": in_context(_of_callback),
    "aiormq.base:FutureStore.create_task": in_the_outermost_context,
}

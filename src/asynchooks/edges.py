"""Who waits for a resource, and who owns it. Both are read from the live objects when somebody
asks, so that they cost nothing before."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from asynchooks import _native

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("awaited_by", "owned_by")

# What asyncio's done callbacks call the future that they settle. Others that they hold they do not:
# the callback of `shield` on its outer future holds the inner one.
_SETTLED = frozenset({"outer", "waiter", "destination"})


def awaited_by(resource: object) -> tuple[int, ...]:
    """The ids of the tasks that wait for this future or task: by `await`, or through `gather`,
    `wait`, `wait_for`, `shield`, or as the tasks of a `TaskGroup`. In no order, each once."""
    return tuple(
        dict.fromkeys(_native.async_id_of(task) for task in _waiting_tasks(resource, set()))
    )


def owned_by(resource: object) -> object | None:
    """What ends this resource with itself: the `TaskGroup` of a task, the executor of a job. None
    where nothing does, or where what does is what made it: of transports."""
    if isinstance(resource, _native.Resource):
        reference = resource.owner
        return reference() if reference is not None else None
    groups = (_task_group_of(callback) for callback in _done_callbacks(resource))
    return next((group for group in groups if group is not None), None)


def _waiting_tasks(future: object, seen: set[int]) -> Iterator[asyncio.Task[Any]]:
    seen.add(id(future))
    for callback in _done_callbacks(future):
        task = _native.task_of_step(callback)
        if task is not None:
            yield task
        for waiter in _futures_behind(callback):
            if id(waiter) not in seen:
                yield from _waiting_tasks(waiter, seen)


def _futures_behind(callback: Any) -> Iterator[object]:
    """The futures that a done callback settles in turn: what asyncio's own callbacks hold in their
    closure (`gather`, `wait`, `shield`), among their arguments (`wait_for`), or as a group. What
    anybody else's callback holds may be anything."""
    group = _task_group_of(callback)
    if group is not None:
        waiter = getattr(group, "_on_completed_fut", None)
        if waiter is not None:
            yield waiter
        return
    held: list[Any] = []
    if isinstance(callback, partial):
        held += callback.args
        callback = callback.func
    if not str(getattr(callback, "__module__", None)).startswith("asyncio."):
        return
    code = getattr(callback, "__code__", None)
    names = code.co_freevars if code is not None else ()
    for name, cell in zip(names, getattr(callback, "__closure__", None) or (), strict=True):
        if name in _SETTLED:
            try:
                held.append(cell.cell_contents)
            except ValueError:  # empty
                continue
    yield from (item for item in held if asyncio.isfuture(item))


def _task_group_of(callback: Any) -> asyncio.TaskGroup | None:
    owner = getattr(callback, "__self__", None)
    return owner if isinstance(owner, asyncio.TaskGroup) else None


def _done_callbacks(future: object) -> list[Any]:
    if not asyncio.isfuture(future):
        return []
    return [callback for callback, _ in getattr(future, "_callbacks", None) or ()]

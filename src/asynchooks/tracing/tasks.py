"""Tasks that a request creates, as spans: what its handler started, and where."""

from __future__ import annotations

import re
import weakref
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks._native import record_tasks
from asynchooks.tracing.current import recording_span, start_span, task_spans
from asynchooks.tracing.scope import current_scope
from asynchooks.tracing.span import StatusCode

if TYPE_CHECKING:
    import asyncio

__all__ = ("install", "record_tasks", "uninstall")

# A program that never ends its tasks must not make us grow: beyond this, tasks have no span.
MAXIMUM_OPEN = 10_000
# asyncio's own name for a task that was given none.
_NUMBERED = re.compile(r"Task-\d+")

# Weak: a task that nobody holds must die as it would without us.
_tasks: dict[int, weakref.ref[asyncio.Task[Any]]] = {}
_hook: _native.Hook | None = None


def install() -> None:
    """Make a span of every task that is created under a request."""
    global _hook
    if _hook is None:
        _hook = _native.task_span_hook(_init, _end)
        _hook.enable()


def uninstall() -> None:
    """Make no more spans. Those that are open are forgotten."""
    global _hook
    if _hook is not None:
        _hook.disable()
        _hook = None
        task_spans.clear()
        _tasks.clear()


def _init(async_id: int, type_name: str, trigger: int, resource: object) -> None:
    inherited = current_scope().span
    parent = recording_span()
    if inherited is None or parent is None or len(task_spans) >= MAXIMUM_OPEN:
        return
    task: asyncio.Task[Any] = resource  # type: ignore[assignment] # by the hook's kinds
    span = start_span(
        f"task {_name_of(task)}",
        parent=parent,
        attributes={"asynchooks.kind": "task", "asynchooks.async_id": async_id},
    )
    task_spans[async_id] = (span, inherited)
    # One that is never finished dies when its loop is gone, or its coroutine.
    _tasks[async_id] = weakref.ref(task, lambda _: _end(async_id))


def _end(async_id: int) -> None:
    entry = task_spans.pop(async_id, None)
    reference = _tasks.pop(async_id, None)
    if entry is None or reference is None:
        return
    span = entry[0]
    task = reference()
    if task is not None and not _NUMBERED.fullmatch(task.get_name()):
        # The name that it was given, which asyncio sets after its birth, says more than its
        # coroutine's where a library (anyio) runs others' functions in a coroutine of its own.
        span.update_name(f"task {task.get_name()}")
    if task is not None and task.done():
        if task.cancelled():
            span.set_attribute("asynchooks.cancelled", True)
        else:
            # Not task.exception(): that marks it as retrieved, and asyncio's warning is lost.
            exception = getattr(task, "_exception", None)
            if exception is not None:
                span.record_exception(exception)
    else:
        span.set_status(StatusCode.ERROR, "the task was dropped before it was done")
    if span.request is not None and span.request.span.end_time is not None:
        span.set_attribute("asynchooks.outlives_request", True)
    span.end()


def _name_of(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", None) or type(coroutine).__name__

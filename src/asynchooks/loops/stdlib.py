"""asyncio's own loop, and every loop that uses its handles: the core makes their handles, and sees
their tasks and futures, whichever loop they run on."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from asynchooks import _native

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable

__all__ = ("install", "uninstall")

T = TypeVar("T")

_TASKS = 1 << _native.KINDS.index("Task")

_is_configured = False


def install() -> None:
    """Put the core in force. The first time, it learns from a probe how this interpreter's tasks
    hand their steps to a loop, and then proves that it sees them.

    Raises:
        RuntimeError: the probe does not look as expected, or is not seen; nothing was changed.
    """
    global _is_configured
    if not _is_configured:
        _native.configure(*_outside_loops(_probe))
        _native.enable()
        try:
            _native.call_unheard(lambda: _outside_loops(_prove))
        except BaseException:
            _native.disable()
            raise
        os.register_at_fork(after_in_child=_native.after_fork)
        _is_configured = True
    _native.enable()


def uninstall() -> None:
    """Take the core out of force."""
    _native.disable()


def _outside_loops(fn: Callable[[], T]) -> T:
    """`fn()`, in a thread of its own where this one runs a loop: a task cannot step inside
    another's step."""
    if asyncio._get_running_loop() is None:
        return fn()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(fn())
        except BaseException as exc:
            errors.append(exc)

    thread = threading.Thread(target=run, name="asynchooks-probe")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _probe() -> tuple[object, object, object]:
    """A step, a wake-up and their task, from a task that runs to its end on a loop that is none."""
    step, wakeup, task, _ = _run_probe()
    return step, wakeup, task


def _prove() -> None:
    """A probe again, with the core in force. What the core has put itself in front of looked as
    expected; only use shows whether an interpreter that we do not know still comes that way.

    Raises:
        RuntimeError: it does not.
    """
    *probed, steps = _run_probe()
    (async_id, again), task = steps, probed[2]
    seen = [row for row in _native.snapshot(_TASKS, 0) if row[:2] == (task, async_id)]
    if async_id != again or not seen or seen[0][-1]:  # adopted: its birth went by
        raise RuntimeError(f"a task's birth or steps were not seen ({async_id}, {again}, {seen})")
    del probed, task, seen
    if any(row[1] == async_id for row in _native.snapshot(_TASKS, 0)):
        raise RuntimeError("a task's death was not seen")
    loop: Any = _ProbeLoop()
    # Often enough for the interpreter to specialize the call.
    for _ in range(64):
        handle = asyncio.events.Handle(print, (), loop, None)
        if type(handle) is asyncio.events.Handle:
            raise RuntimeError("a handle's birth was not seen")


def _run_probe() -> tuple[object, object, object, list[int]]:
    """A step, a wake-up and their task, and who executed, by the core, in the first and in the
    second."""
    loop: Any = _ProbeLoop()
    steps: list[int] = []
    asyncio._set_running_loop(loop)
    try:
        future: asyncio.Future[None] = asyncio.Future(loop=loop)
        # Named, so that the application's first one is still Task-1.
        task = asyncio.Task(_wait(future, steps), loop=loop, name="asynchooks-probe")
        step = loop.scheduled
        loop.run_scheduled()
        future.set_result(None)
        wakeup = loop.scheduled
        loop.run_scheduled()
    finally:
        asyncio._set_running_loop(None)
    vars(loop).clear()  # a future and its loop hold each other
    return step, wakeup, task, steps


async def _wait(future: asyncio.Future[None], steps: list[int]) -> None:
    steps.append(_native.execution_async_id())
    await future
    steps.append(_native.execution_async_id())


class _ProbeLoop:
    """All of a loop that a task and a future ask for. Keeps the callback that is handed to it."""

    scheduled: Any = None
    _arguments: tuple[Any, ...] = ()
    _context: contextvars.Context | None = None

    def get_debug(self) -> bool:
        return False

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        self.scheduled = callback
        self._arguments = args
        self._context = context

    def run_scheduled(self) -> None:
        assert self._context is not None
        self._context.run(self.scheduled, *self._arguments)

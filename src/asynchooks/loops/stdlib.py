"""asyncio's own loop, and every loop that uses its handles: the core makes their handles, and sees
their tasks and futures, whichever loop they run on."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from asynchooks import _native

if TYPE_CHECKING:
    import contextvars

__all__ = ("install", "uninstall")

_is_configured = False


def install() -> None:
    """Put the core in force. The first time, it learns from a probe how this interpreter's tasks
    hand their steps to a loop.

    Raises:
        RuntimeError: the probe does not look as expected; nothing was changed.
    """
    global _is_configured
    if not _is_configured:
        _native.configure(*_learn())
        _is_configured = True
    _native.enable()


def uninstall() -> None:
    """Take the core out of force."""
    _native.disable()


def _learn() -> tuple[object, object, object]:
    """`_probe()`, in a thread of its own where this one runs a loop: a task cannot step inside
    another's step."""
    if asyncio._get_running_loop() is None:
        return _probe()
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(_probe())
        except BaseException as exc:
            found.append(exc)

    thread = threading.Thread(target=run, name="asynchooks-probe")
    thread.start()
    thread.join()
    if isinstance(found[0], BaseException):
        raise found[0]
    step, wakeup, task = found[0]
    return step, wakeup, task


def _probe() -> tuple[object, object, object]:
    """A step, a wake-up and their task, from a task that runs to its end on a loop that is none."""
    loop: Any = _ProbeLoop()
    asyncio._set_running_loop(loop)
    try:
        future: asyncio.Future[None] = asyncio.Future(loop=loop)
        waiting = _wait(future)
        # With a name, so that it takes none of the numbers of the application's tasks.
        task = asyncio.Task(waiting, loop=loop, name="asynchooks-probe")
        step = loop.scheduled
        loop.run_scheduled()
        future.set_result(None)
        wakeup = loop.scheduled
        loop.run_scheduled()
    finally:
        asyncio._set_running_loop(None)
    return step, wakeup, task


async def _wait(future: asyncio.Future[None]) -> None:
    await future


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

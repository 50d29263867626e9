"""Waiting for another thread, also where gevent or eventlet has replaced what Python waits with."""

from __future__ import annotations

from _queue import Empty, SimpleQueue  # in C, which nobody replaces

__all__ = ("Flag",)


class Flag:
    """A `threading.Event` of the operating system's threads. One of greenlets may not hear of what
    another thread does. Who waits for this holds up the other greenlets of its thread."""

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        self._queue.put(None)

    def wait(self, timeout: float) -> bool:
        """Returns whether it is set, after at most `timeout` seconds."""
        try:
            self._queue.get(timeout=timeout)
        except Empty:
            return False
        self._queue.put(None)  # for whoever else waits
        return True

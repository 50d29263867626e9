"""The loop of the model: callbacks in the order of their scheduling, timers in that of their
deadlines, and time that passes only when there is nothing else to do."""

from __future__ import annotations

import asyncio
import heapq
import sys
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from tests.model.semantics import (
    ModelFuture,
    ModelHandle,
    ModelTask,
    ModelTimer,
    UvloopHandle,
    UvloopTimer,
)

if TYPE_CHECKING:
    from tests.model.semantics import Model, Record


class ModelLoop:
    """As much of a loop as asyncio's own functions ask for."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._now = 0.0
        self._ready: deque[Any] = deque()
        self._timers: list[Any] = []
        self._make_handle: Any = UvloopHandle if model.is_uvloop else ModelHandle
        self._make_timer: Any = UvloopTimer if model.is_uvloop else ModelTimer
        self._is_stopping = False
        self._is_running = False
        self._exception_handler: Any = None
        self._task_factory: Any = None
        self._generators: dict[int, Record] = {}

    # Scheduling.

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = self._make_handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        timer = self._make_timer(when, callback, args, self, context)
        heapq.heappush(self._timers, timer)
        timer._scheduled = True  # as BaseEventLoop does
        return timer

    def _timer_handle_cancelled(self, timer: object) -> None:
        pass

    def _run_once(self) -> None:
        while self._timers and self._timers[0].cancelled():
            heapq.heappop(self._timers)
        if not self._ready and not self._is_stopping:
            assert self._timers, "the program waits for ever"
            self._now = max(self._now, self._timers[0].when())
        while self._timers and self._timers[0].when() <= self._now:
            self._ready.append(heapq.heappop(self._timers))
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()
            del handle

    # What asyncio's functions ask for.

    def create_future(self) -> ModelFuture:
        return ModelFuture(loop=self)

    def create_task(self, coroutine: Any, **options: Any) -> Any:
        if self._task_factory is not None:
            return self._task_factory(self, coroutine, **options)
        return ModelTask(coroutine, loop=self, **options)

    def set_task_factory(self, factory: Any) -> None:
        self._task_factory = factory

    def set_exception_handler(self, handler: Any) -> None:
        self._exception_handler = handler

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self._exception_handler(self, context)

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._is_running

    def is_closed(self) -> bool:
        return False

    def close(self) -> None:
        self._ready.clear()
        self._timers.clear()

    # Running.

    def run_until_complete(self, coroutine: Any) -> Any:
        task = self.create_task(coroutine)
        task.add_done_callback(self._stop)
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._meet, self._finalize)
        asyncio._set_running_loop(self)  # type: ignore[arg-type] # enough of one
        self._is_running = True
        try:
            while not self._is_stopping:
                self._run_once()
        finally:
            self._is_running = False
            asyncio._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)
        return task.result()

    def _stop(self, task: object) -> None:
        self._is_stopping = True

    # Async generators: born with their first step; to close one that nobody holds any more is a
    # task, which the generator has caused.

    def _meet(self, generator: Any) -> None:
        self._generators[id(generator)] = self.model.born("AsyncGenerator", generator)

    def _finalize(self, generator: Any) -> None:
        record = self._generators[id(generator)]
        record.object = weakref.ref(generator)  # the old one was cleared
        with self.model.executing(record):
            self.call_soon_threadsafe(self.create_task, generator.aclose())

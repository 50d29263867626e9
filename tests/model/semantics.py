"""The model: who creates, awaits, wakes, cancels and owns whom, as we mean it.

It is the specification that the C core is held to, and knows nothing of it. Tasks and futures are
CPython's own in Python (`_PyTask`, `_PyFuture`, the reference for the ones in C), handles are
asyncio's Python classes, and the loop is `scheduling.ModelLoop`; what stands here is only what *we*
say of them.

Frames of the model that an exception's traceback leads to must hold nothing, as C has no frames:
hence `del self`, where asyncio itself has `self = None`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from asyncio import events
from asyncio.futures import _PyFuture  # type: ignore[attr-defined] # not public
from asyncio.tasks import (  # type: ignore[attr-defined] # not public
    _enter_task,
    _leave_task,
    _PyTask,
)
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from types import TracebackType

MAIN = -1  # what executes at the top level of the main thread; everything else counts from 1
NOBODY = 0  # at the top level of another thread


class Token:
    """Lives as long as something that has no object of its own."""


@dataclass(eq=False)
class Record:
    """What is known of one resource."""

    async_id: int
    kind: str
    created_by: int
    root: int
    woken_by: int = 0
    cancelled_by: int = 0
    steps: int = 0
    depth: int = 0  # how many of its steps run now, one inside the other
    is_scheduled: bool = False  # somebody has asked for its next step
    is_over: bool = False  # it runs once, and has; or it was cancelled
    is_settled: bool = False  # told
    object: Callable[[], Any] = field(default=lambda: None)  # a weak reference

    @property
    def state(self) -> str:
        resource = self.object()
        if isinstance(resource, _PyFuture) and resource.done():
            return "done"
        if self.depth > 0:
            return "running"
        if self.is_over:
            return "done"
        return "ready" if self.is_scheduled else "waiting"


@dataclass
class Frame:
    """One entry of a thread's execution stack."""

    record: Record
    root: int


class Model:
    """All that is known, of one run of a program."""

    def __init__(self, *, is_uvloop: bool = False) -> None:
        self.is_uvloop = is_uvloop
        self.records: list[Record] = []
        self.events: list[tuple[Any, ...]] = []
        self._count = 0
        self._threads = threading.local()
        self._main_thread = threading.get_ident()

    # What executes now, in this thread.

    @property
    def stack(self) -> list[Frame]:
        if not hasattr(self._threads, "stack"):
            self._threads.stack = []
        stack: list[Frame] = self._threads.stack
        return stack

    def execution_id(self) -> int:
        if self.stack:
            return self.stack[-1].record.async_id
        return MAIN if threading.get_ident() == self._main_thread else NOBODY

    def trigger_id(self) -> int:
        return self.stack[-1].record.created_by if self.stack else NOBODY

    def root(self) -> int:
        return self.stack[-1].root if self.stack else self.execution_id()

    def start_root(self) -> None:
        """What executes now begins a request: it, and what it makes from here on, belong to it."""
        self._count += 1
        if self.stack:
            self.stack[-1].root = self.stack[-1].record.root = self._count

    # The life of a resource.

    def born(
        self, kind: str, resource: object, *, type_name: str = "", trigger: int | None = None
    ) -> Record:
        """It is made by what executes now, on behalf of the same root; or is its own."""
        self._count += 1
        root = self.root()
        record = Record(
            async_id=self._count,
            kind=kind,
            created_by=self.execution_id() if trigger is None else trigger,
            root=root if root != NOBODY else self._count,
            is_scheduled=kind in ("Handle", "Thread"),
            object=weakref.ref(resource),
        )
        self.records.append(record)
        self._tell("init", record, type_name or kind, record.created_by)
        return record

    def scheduled(self, record: Record) -> None:
        """Somebody has asked for its next step, and by that wakes it."""
        record.woken_by = self.execution_id()
        record.is_scheduled = True

    def cancelled(self, record: Record) -> None:
        record.cancelled_by = self.execution_id()

    @contextlib.contextmanager
    def executing(self, record: Record) -> Iterator[None]:
        self.stack.append(Frame(record, record.root))
        try:
            yield
        finally:
            self.stack.pop()

    @contextlib.contextmanager
    def step(self, record: Record, task: Any = None) -> Iterator[None]:
        """It runs. A task that ends is settled before the after of its last step."""
        record.steps += 1
        record.depth += 1
        record.is_scheduled = False
        try:
            with self.executing(record):
                self._tell("before", record)
                try:
                    yield
                finally:
                    if task is not None:
                        self.settled(task)
                    self._tell("after", record)
        finally:
            record.depth -= 1
            record.is_over = record.kind in ("Handle", "TimerHandle", "Thread")

    def settled(self, future: Any) -> None:
        if future.done() and not future.record.is_settled:
            future.record.is_settled = True
            self._tell("settled", future.record)

    def _tell(self, event: str, record: Record, *details: Any) -> None:
        self.events.append((event, record.async_id, *details))

    # What is alive, and how it hangs together.

    def living(self) -> list[tuple[Record, Any]]:
        found = [(record, record.object()) for record in self.records]
        return [(record, resource) for record, resource in found if resource is not None]

    def snapshot(self) -> list[tuple[Any, ...]]:
        living = self.living()
        waiting: dict[int, set[int]] = {}
        for record, resource in living:
            if isinstance(resource, ModelTask):
                for future in resource.waits_for():
                    waiting.setdefault(future.record.async_id, set()).add(record.async_id)
        return [
            (
                record.async_id,
                record.kind,
                record.created_by,
                record.root,
                record.woken_by,
                record.cancelled_by,
                record.state,
                record.steps,
                tuple(sorted(waiting.get(record.async_id, ()))),
                resource.owner() if isinstance(resource, ModelTask) else None,
            )
            for record, resource in living
        ]


def _without_first(traceback: TracebackType | None) -> TracebackType | None:
    return traceback.tb_next if traceback is not None else None


class _NoFramesMixin:
    """What a future in C has no frames for."""

    def result(self) -> Any:
        try:
            return super().result()  # type: ignore[misc] # a future's
        except BaseException as exc:
            exc.__traceback__ = _without_first(_without_first(exc.__traceback__))
            raise
        finally:
            del self

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            if not self.done():  # type: ignore[attr-defined] # a future's
                self._asyncio_future_blocking = True
                yield self
            return self.result()
        finally:
            del self

    __iter__ = __await__


class ModelFuture(_NoFramesMixin, _PyFuture):  # type: ignore[misc] # _PyFuture is Any
    """A future of a loop that has a model."""

    _behind: tuple[Any, ...] = ()

    def __init__(self, *, loop: Any) -> None:
        super().__init__(loop=loop)
        self.model: Model = loop.model
        self.record = self.model.born("Future", self)

    def stands_for(self, futures: Any) -> None:
        """Whoever waits for it waits for these (`gather`, `shield`)."""
        self._behind = tuple(weakref.ref(future) for future in futures)

    def behind(self) -> list[Any]:
        return [future for reference in self._behind if (future := reference()) is not None]

    def set_result(self, result: Any) -> None:
        super().set_result(result)
        self.model.settled(self)

    def set_exception(self, exception: Any) -> None:
        super().set_exception(exception)
        self.model.settled(self)

    def cancel(self, msg: Any = None) -> bool:
        is_cancelled = bool(super().cancel(msg=msg))
        if is_cancelled:
            self.model.cancelled(self.record)
        self.model.settled(self)
        return is_cancelled


class ModelGathering(ModelFuture):
    """As `asyncio.tasks._GatheringFuture`: to cancel it is to cancel what it gathers."""

    def __init__(self, children: list[Any], *, loop: Any) -> None:
        super().__init__(loop=loop)
        self._children = children
        self._cancel_requested = False

    def cancel(self, msg: Any = None) -> bool:
        if self.done():
            return False
        is_cancelled = [child.cancel(msg=msg) for child in self._children]
        self._cancel_requested = self._cancel_requested or any(is_cancelled)
        return any(is_cancelled)


class ModelTask(_NoFramesMixin, _PyTask):  # type: ignore[misc] # _PyTask is Any
    """A task of a loop that has a model."""

    # The futures that it waits for while it stands in `wait`, `wait_for` or at the end of a group.
    via: tuple[Any, ...] = ()
    _owner: Any = None
    _must_cancel: bool

    def __init__(self, coroutine: Any, *, loop: Any, **options: Any) -> None:
        self.model: Model = loop.model
        self.record = self.model.born("Task", self)
        super().__init__(coroutine, loop=loop, **options)

    def belongs_to(self, owner: str) -> None:
        self._owner = owner

    def owner(self) -> Any:
        return None if self.done() else self._owner

    def waits_for(self) -> set[Any]:
        """The pending futures whose end it cannot go on without: the one that it awaits, and those
        that stand behind that."""
        if self._fut_waiter is None or self._fut_waiter.done():
            return set()
        found: set[Any] = set()
        pending = [self._fut_waiter, *self.via]
        while pending:
            future = pending.pop()
            if future not in found and not future.done():
                found.add(future)
                pending += future.behind() if isinstance(future, ModelFuture) else ()
        return found

    def cancel(self, msg: Any = None) -> bool:
        is_cancelled = bool(super().cancel(msg=msg))
        if is_cancelled:
            self.model.cancelled(self.record)
        return is_cancelled

    # As _PyTask's, but that no frame is left holding what was thrown.

    def _Task__step(self, exc: BaseException | None = None) -> None:
        thrown = [exc]
        del exc
        self._step(thrown)
        del self

    def _step(self, thrown: list[BaseException | None]) -> None:
        if self._must_cancel:
            if not isinstance(thrown[0], asyncio.CancelledError):
                thrown[0] = self._make_cancelled_error()
            self._must_cancel = False
        self._fut_waiter = None
        with self.model.step(self.record, self):
            _enter_task(self._loop, self)
            try:
                self._Task__step_run_and_handle_result(thrown)
            finally:
                _leave_task(self._loop, self)
        del self

    def _Task__step_run_and_handle_result(self, thrown: list[Any] | None) -> None:
        try:
            if thrown is None or thrown[0] is None:
                result = self._coro.send(None)
            else:
                result = self._coro.throw(thrown.pop())
        except StopIteration as exc:
            if self._must_cancel:
                self._must_cancel = False
                _PyFuture.cancel(self, self._cancel_message)
            else:
                _PyFuture.set_result(self, exc.value)
        except asyncio.CancelledError as exc:
            self._cancelled_exc = exc
            _PyFuture.cancel(self)
        except BaseException as exc:
            _PyFuture.set_exception(self, exc)
        else:
            self._suspend(result)
        del self

    def _suspend(self, future: Any) -> None:
        """It has yielded a future, which it waits for; or nothing, and is ready."""
        if future is None:
            self._loop.call_soon(self._Task__step, context=self._context)
            return
        future._asyncio_future_blocking = False
        future.add_done_callback(self._Task__wakeup, context=self._context)
        self._fut_waiter = future
        if self._must_cancel and future.cancel(msg=self._cancel_message):
            self._must_cancel = False

    def _Task__wakeup(self, future: Any) -> None:
        thrown: list[BaseException | None] = [None]
        try:
            future.result()
        except BaseException as exc:
            exc.__traceback__ = _without_first(exc.__traceback__)
            thrown[0] = exc
        del future
        self._step(thrown)  # outside of `except`: it is no context of what the task raises
        del self

    def _Task__eager_start(self) -> None:
        with self.model.step(self.record, self):
            super()._Task__eager_start()
        del self


def task_of_step(callback: Any) -> ModelTask | None:
    """The task whose step or wake-up a callback is: it is no resource of its own."""
    task = getattr(callback, "__self__", None)
    if isinstance(task, ModelTask) and callback.__name__ in ("_Task__step", "_Task__wakeup"):
        return task
    return None


class _ModelHandleMixin:
    """A callback that a loop is to run once: a resource, unless it is a task's step."""

    record: Record | None = None
    _loop: Any
    _cancelled: bool

    def born(self, kind: str, callback: Any) -> None:
        task = task_of_step(callback)
        if task is not None:
            self._loop.model.scheduled(task.record)
        else:
            self.record = self._loop.model.born(kind, self)

    def _run(self) -> None:
        if self.record is None:
            super()._run()  # type: ignore[misc] # asyncio's
        else:
            # The loop's exception handler runs inside, for what has failed.
            with self._loop.model.step(self.record):
                super()._run()  # type: ignore[misc] # asyncio's
        del self

    def cancel(self) -> None:
        if not self._cancelled and self.record is not None:
            self._loop.model.cancelled(self.record)
            self.record.is_over = True
        super().cancel()  # type: ignore[misc] # asyncio's


class ModelHandle(_ModelHandleMixin, events.Handle):
    def __init__(self, callback: Any, args: Any, loop: Any, context: Any) -> None:
        super().__init__(callback, args, loop, context)
        self.born("Handle", callback)


class ModelTimer(_ModelHandleMixin, events.TimerHandle):
    def __init__(self, when: float, callback: Any, args: Any, loop: Any, context: Any) -> None:
        super().__init__(when, callback, args, loop, context)
        self.born("TimerHandle", callback)


class _UvloopHandleMixin:
    """uvloop has handles of its own: the resource is the callback, as it was handed to the loop,
    and lives as long as the handle keeps that. Who cancels a handle is not seen."""

    record: Record | None = None
    _what: Token | None
    _loop: Any
    _callback: Any
    _args: Any
    _context: Any

    def born(self, kind: str, callback: Any) -> None:
        task = task_of_step(callback)
        if task is not None:
            self._loop.model.scheduled(task.record)
        else:
            self._what = Token()
            self.record = self._loop.model.born(kind, self._what)

    def _run(self) -> None:
        if self.record is None:
            super()._run()  # type: ignore[misc] # asyncio's
            del self
            return
        what = self._what
        if isinstance(self, events.TimerHandle):
            self._what = None
        try:
            with self._loop.model.step(self.record):
                self._context.run(self._callback, *self._args)
        except BaseException as exc:
            # The loop's exception handler runs outside.
            self._loop.call_exception_handler({"exception": exc, "handle": self})
        del self, what

    def cancel(self) -> None:
        self._what = None
        super().cancel()  # type: ignore[misc] # asyncio's


class UvloopHandle(_UvloopHandleMixin, events.Handle):
    def __init__(self, callback: Any, args: Any, loop: Any, context: Any) -> None:
        super().__init__(callback, args, loop, context)
        self.born("Handle", callback)


class UvloopTimer(_UvloopHandleMixin, events.TimerHandle):
    def __init__(self, when: float, callback: Any, args: Any, loop: Any, context: Any) -> None:
        super().__init__(when, callback, args, loop, context)
        self.born("TimerHandle", callback)


class ModelResource:
    """`AsyncResource`, without its context."""

    def __init__(self, model: Model, type_name: str, trigger: int | None = None) -> None:
        self._model = model
        self.record = model.born("AsyncResource", self, type_name=type_name, trigger=trigger)

    def async_id(self) -> int:
        return self.record.async_id

    def run_in_async_scope(self, fn: Callable[..., Any], *args: Any) -> Any:
        try:
            with self._model.step(self.record):
                return fn(*args)
        finally:
            del self, fn, args

    def emit_destroy(self) -> None:
        """From now on it does not count as alive."""
        self.record.object = lambda: None

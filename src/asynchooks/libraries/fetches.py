"""Messages that the application asks for, one by one or some at a time, alike for every library.

In a request, asking is a span "receive", which is linked to who has sent what came: what the
request does with it is the request's. Anywhere else what came is a job of its own, as one is that a
callback gets, and the task that has asked works on it until it asks again, for whatever, or closes
what it asked, or ends. What it does meanwhile belongs to that job, and so do the tasks that it
creates meanwhile, also when they go on.

The job stays in force when the wrapped call returns: that runs in the context of the task which
awaits it. Where that is a task of its own (`asyncio.wait_for` before Python 3.12), the job ends at
once, and tells that a message came, and from whom.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import weakref
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks.hooks import create_hook
from asynchooks.libraries.calls import guarded, step_out
from asynchooks.libraries.jobs import add_messages, describe, destination_of, start_processing
from asynchooks.tracing import (
    SpanKind,
    current_span,
    is_suppressed,
    start_span,
    suppress_tracing,
)
from asynchooks.tracing.scope import Scope, current_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asynchooks._patching import Patches
    from asynchooks.libraries.jobs import Message
    from asynchooks.tracing import Request, Span

    # From what was asked and what came to the messages in it.
    Read = Callable[[Any, Any], Sequence[Message]]

__all__ = ("closing", "fail", "fetching", "follow_tasks")

# That nothing came in time, or comes any more, is no failure.
_NOTHING = (TimeoutError, asyncio.QueueEmpty, StopAsyncIteration)


class _Processing(Scope):
    """What is in force from when messages came until their task is done with them: their job, as
    `use_request` puts one in force."""

    __slots__ = ("known", "request", "task")

    def __init__(self, request: Request, task: asyncio.Task[Any]) -> None:
        self.request = request
        number = _native.async_id_of(task)
        # One that is never finished dies with its loop, or with its coroutine.
        self.task = weakref.ref(task, lambda _: _task_has_ended(number))
        self.span = request.span
        self.baggage = request.baggage
        self.attached = None
        self.is_suppressed = False
        self.records_tasks = True
        # No failure of this job: what its task handles already, or what is recorded of it.
        self.known = sys.exception()


# By the id of the task that works on it.
_jobs: dict[int, _Processing] = {}


def follow_tasks(patches: Patches) -> None:
    """Follow the tasks that work on messages, until `patches` are undone."""
    patches.on_undo(_forget)


def fetching(
    system: str, read: Read, *, where: Callable[[Any], str], is_batch: bool = False
) -> Callable[[Any], Any]:
    """A wrapper, for `Patches.wrap`, of a method that is awaited for messages. `read(self, result)`
    says which came, `where(self)` where they are taken from, or "". What the call does inside is
    nothing of its own."""

    def make(original: Any) -> Any:
        @functools.wraps(original)
        async def fetch(self: Any, *args: Any, **kwargs: Any) -> Any:
            is_inside = is_suppressed()  # of another such call, or nothing is to be recorded here
            span = None if is_inside else guarded(original, _ask, system, where, self)
            try:
                with suppress_tracing():
                    result = await original(self, *args, **kwargs)
            except BaseException as exc:
                step_out(exc)
                _came_to_nothing(span, exc)
                raise
            if not is_inside:
                guarded(original, _came, span, system, read, self, result, is_batch)
            return result

        return fetch

    return make


def closing(original: Any) -> Any:
    """A wrapper of a method that is awaited to close what was asked for messages: its task is done
    with the last one."""

    @functools.wraps(original)
    async def close(*args: Any, **kwargs: Any) -> Any:
        guarded(original, _end_here, sys.exception())
        try:
            return await original(*args, **kwargs)
        except BaseException as exc:
            step_out(exc)
            raise

    return close


def fail(exc: BaseException) -> None:
    """Record that what the current task works on has failed by `exc`."""
    task = asyncio.current_task()
    job = _jobs.get(_native.async_id_of(task)) if task is not None else None
    if job is not None:
        _record_failure(job, exc)


def _ask(system: str, where: Callable[[Any], str], source: Any) -> Span | None:
    """The task is done with what it had. The span of asking, in a request."""
    _end_here(None)
    parent = current_span()
    if parent is None or isinstance(current_scope(), _Processing):
        return None  # what comes is a job; this one at most belongs to whoever has made the task
    destination = where(source)
    span = start_span(f"receive {destination}".rstrip(), kind=SpanKind.CLIENT, parent=parent)
    describe(span, system, destination, "receive")
    return span


def _came(
    span: Span | None, system: str, read: Read, source: Any, result: Any, is_batch: bool
) -> None:
    messages = read(source, result)
    if span is not None:
        add_messages(span, messages, is_batch=is_batch)
        destination = destination_of(messages)
        if destination:
            span.update_name(f"receive {destination}")
            span.set_attribute("messaging.destination.name", destination)
        span.end()
    elif messages:
        task = asyncio.current_task()
        if task is not None:
            job = _Processing(start_processing(system, messages, is_batch=is_batch), task)
            job.enter()
            _jobs[_native.async_id_of(task)] = job
            if not _hook.enabled:
                _hook.enable()


def _came_to_nothing(span: Span | None, exc: BaseException) -> None:
    if span is None:
        return
    if not isinstance(exc, _NOTHING):
        _record(span, exc)
    span.end()


def _end_here(exc: BaseException | None) -> None:
    """End the job that the current task works on, if there is one."""
    task = asyncio.current_task()
    job = _jobs.pop(_native.async_id_of(task), None) if task is not None else None
    if job is None:
        return
    _end(job, exc)
    if current_scope() is job:  # a loop of `each` has taken it back, and tasks still need it
        job.leave()


def _task_has_ended(async_id: int) -> None:
    """By itself, so that nothing more happens in its context; or nobody holds it any more."""
    job = _jobs.pop(async_id, None)
    if job is None:
        return
    task = job.task()
    if task is not None and task.cancelled():
        _end(job, asyncio.CancelledError())
    else:
        # Not task.exception(): that marks it as retrieved, and asyncio's warning is lost.
        _end(job, getattr(task, "_exception", None))


def _end(job: _Processing, exc: BaseException | None) -> None:
    _record_failure(job, exc)
    job.request.span.end()
    job.known = None  # the tasks that it has created may hold the job for long


def _record_failure(job: _Processing, exc: BaseException | None) -> None:
    if exc is not None and exc is not job.known:
        job.known = exc
        _record(job.request.span, exc)


def _record(span: Span, exc: BaseException) -> None:
    if isinstance(exc, asyncio.CancelledError):
        span.set_attribute("asynchooks.cancelled", True)
    else:
        span.record_exception(exc)


def _forget() -> None:
    _hook.disable()
    for async_id in [*_jobs]:
        _end(_jobs.pop(async_id), None)


# On from the first such job on: a program that only sends pays nothing for it.
_hook = create_hook(settled=_task_has_ended, kinds=["Task"])

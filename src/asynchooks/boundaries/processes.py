"""Process pools: each job is a resource of the process that submits it. Nothing of it crosses: what
is pickled is what would be without us, and the worker knows no cause and no context.

A job is queued until the pool hands it to its workers, and runs from then on until its result is
back: what waits in the pipe to the workers, one job more than there are workers at most, counts as
running. No code of it executes here, so there is no before and no after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from asynchooks import _native
from asynchooks._detached import call_detached
from asynchooks._imports import when_imported
from asynchooks._patching import Patches

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from types import ModuleType

__all__ = ("install", "uninstall")

_KIND = _native.KINDS.index("ExecutorJob")

# A job ends when its future is done, or gone.
_jobs: WeakKeyDictionary[Future[Any], _native.Resource] = WeakKeyDictionary()
_patches = Patches()
_stop_waiting: Callable[[], None] | None = None


def install() -> None:
    """See the jobs of process pools, as soon as the application imports them."""
    global _stop_waiting
    if _stop_waiting is None:
        _stop_waiting = when_imported("concurrent.futures.process", _patch)


def uninstall() -> None:
    """See them no more."""
    global _stop_waiting
    if _stop_waiting is not None:
        _stop_waiting()
        _stop_waiting = None
    _patches.undo()
    _jobs.clear()


def _patch(module: ModuleType) -> None:
    executor = module.ProcessPoolExecutor
    _patches.wrap(executor, "submit", lambda fn: _native.Wrapper(fn, "call", then=_submitted))
    # Its thread and its processes are nobody's.
    _patches.wrap(
        executor,
        "_start_executor_manager_thread",
        lambda fn: _native.Wrapper(fn, "through", helper=call_detached),
    )
    queue = module._SafeQueue
    _patches.wrap(queue, "put", lambda fn: _native.Wrapper(fn, "call", then=_handed_over))


def _submitted(future: Future[Any], pool: object, fn: object, /, *args: Any, **kwargs: Any) -> None:
    job = _native.Resource("ExecutorJob", None, False, _KIND)
    job.owner = ref(pool)
    job.subject = fn
    _jobs[future] = job
    if future.running():
        job.mark_running()
    future.add_done_callback(_done)


def _handed_over(_: None, queue: Any, item: Any, *args: Any, **kwargs: Any) -> None:
    """The pool's own thread has put `item` into the pipe."""
    work = queue.pending_work_items.get(getattr(item, "work_id", None))
    job = _jobs.get(work.future) if work is not None else None
    if job is not None:
        job.mark_running()


def _done(future: Future[Any]) -> None:
    job = _jobs.pop(future, None)
    if job is not None:
        job.mark_done()
        job.emit_destroy()

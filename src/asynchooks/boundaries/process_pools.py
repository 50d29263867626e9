"""Process pools: each job is a resource of the process that submits it, and the stores of portable
storages travel with it. Where there are none, what is pickled is what would be without us.

In the worker a job that travels so sees the stores of its submitter, and what the program and the
pool's initializer have set there: nothing of the jobs before it, nor of the request that made the
pool start its workers. It knows no cause.

A job is queued until the pool hands it to its workers, and runs from then on until its result is
back: what waits in the pipe to the workers, one job more than there are workers at most, counts as
running. No code of it executes here, so there is no before and no after.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from asynchooks import _native
from asynchooks._detached import call_outermost
from asynchooks.context import carriers

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import ModuleType

    from asynchooks._patching import Patches

__all__ = ("DOES", "NAME", "install")

NAME = "process_pools"
DOES = "the stores of portable storages travel with each job of a ProcessPoolExecutor"

_KIND = _native.KINDS.index("ExecutorJob")

# A job ends when its future is done, or gone.
_jobs: WeakKeyDictionary[Future[Any], _native.Resource] = WeakKeyDictionary()


def install(patches: Patches) -> None:
    """See the jobs of process pools, as soon as the application imports them."""
    patches.when_imported("concurrent.futures.process", partial(_patch, patches))


def _patch(patches: Patches, module: ModuleType) -> None:
    executor = module.ProcessPoolExecutor
    patches.wrap(
        executor,
        "submit",
        lambda fn: _native.Wrapper(fn, "arguments", helper=_enclose, then=_submitted),
    )
    # Its thread and its processes are nobody's.
    for name in ("_start_executor_manager_thread", "_spawn_process"):
        patches.wrap(
            executor, name, lambda fn: _native.Wrapper(fn, "through", helper=call_outermost)
        )
    queue = module._SafeQueue
    patches.wrap(queue, "put", lambda fn: _native.Wrapper(fn, "call", then=_handed_over))


def _enclose(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    if len(args) < 2:
        return None
    return (args[0], carriers.enclose(args[1]), *args[2:]), kwargs


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

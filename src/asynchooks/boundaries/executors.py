"""Thread pools: each job is a resource, and runs in a copy of its submitter's context; the pool's
own threads belong to nobody, so that no request's values stay in them.

`loop.run_in_executor` and `ThreadPoolExecutor.map` go through `submit`. The jobs of an
`InterpreterPoolExecutor` are no resources.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks._detached import call_detached

if TYPE_CHECKING:
    from asynchooks._patching import Patches

__all__ = ("install",)

_KIND = _native.KINDS.index("ExecutorJob")


def install(patches: Patches) -> None:
    """Wrap `ThreadPoolExecutor.submit` and the method that starts a pool's threads."""
    patches.wrap(ThreadPoolExecutor, "submit", _make_submit)
    patches.wrap(ThreadPoolExecutor, "_adjust_thread_count", _make_adjust_thread_count)


# From 3.14 on a pool says how its threads run a job; before, they all call it.
_prepare_context = vars(ThreadPoolExecutor).get("prepare_context")


def _runs_jobs_here(pool: ThreadPoolExecutor) -> bool:
    """Not so an `InterpreterPoolExecutor`, whose jobs leave for another interpreter: nothing of
    ours can go there, not even a wrapper."""
    if _prepare_context is None:
        return True
    prepare_context = getattr(type(pool), "prepare_context", None)
    return getattr(prepare_context, "__func__", None) is _prepare_context.__func__


def _make_submit(original: Any) -> Any:
    @wraps(original)
    def submit(self: ThreadPoolExecutor, /, *args: Any, **kwargs: Any) -> Any:
        if not args or not _runs_jobs_here(self):
            return original(self, *args, **kwargs)  # without arguments: its own TypeError
        job = _native.Resource("ExecutorJob", None, False, _KIND)
        return original(self, job.run_in_async_scope, *args, **kwargs)

    return submit


def _make_adjust_thread_count(original: Any) -> Any:
    @wraps(original)
    def _adjust_thread_count(self: ThreadPoolExecutor) -> None:
        call_detached(original, self)

    return _adjust_thread_count

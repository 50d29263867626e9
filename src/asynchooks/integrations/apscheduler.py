"""APScheduler: a job runs in the context in which it was added, as a timer does. One that comes
from a store on disk runs in the scheduler's.
"""

from __future__ import annotations

import contextvars
import functools
from typing import TYPE_CHECKING, Any

from asynchooks.integrations.beside import Beside

if TYPE_CHECKING:
    from collections.abc import Callable

# Of each job.
_contexts: Beside[contextvars.Context] = Beside()


def _born(original: Any) -> Any:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        _contexts.put(self, contextvars.copy_context())

    return __init__


def _submitting(original: Any) -> Any:
    @functools.wraps(original)
    def submit_job(self: Any, job: Any, run_times: Any) -> Any:
        context = _contexts.get(job)
        if context is None:
            return original(self, job, run_times)
        return context.copy().run(original, self, job, run_times)

    return submit_job


PATCHES: dict[str, Callable[[Any], Any]] = {
    "apscheduler.job:Job.__init__": _born,
    "apscheduler.executors.base:BaseExecutor.submit_job": _submitting,
}

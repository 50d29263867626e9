"""APScheduler: a job runs in the context in which it was added, as a timer does. One that comes
from a store on disk runs in the scheduler's.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

from asynchooks.integrations.beside import Beside
from asynchooks.integrations.wrapping import calling, in_context

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap

# Of each job.
_contexts: Beside[contextvars.Context] = Beside()


def _note(result: None, job: object, *args: Any, **kwargs: Any) -> None:
    _contexts.put(job, contextvars.copy_context())


def _context_of(executor: object, job: object, run_times: object) -> contextvars.Context | None:
    return _contexts.get(job)


PATCHES: dict[str, Wrap] = {
    "apscheduler.job:Job.__init__": calling(_note),
    "apscheduler.executors.base:BaseExecutor.submit_job": in_context(_context_of),
}

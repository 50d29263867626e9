"""taskiq: sending a task is a span, whose context travels in the task's labels; each run of a task
is a request of its own, linked to who has sent it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded, unrecorded
from asynchooks.libraries.jobs import headers_here, running, sending, start_job, start_sending

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Request

NAME = "taskiq"
MODULE = "taskiq.kicker"
SUPPORTED = ("0.11", "1")

# taskiq names no queue to who sends: a broker is one.
_QUEUE = "taskiq"


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.AsyncKicker, "kiq", _make_kiq)
    patches.wrap(module.AsyncKicker, "_prepare_message", _make_prepare_message)
    patches.when_imported("taskiq.receiver.receiver", lambda module: _install(patches, module))


def _install(patches: Patches, receiver: ModuleType) -> None:
    patches.wrap(receiver.Receiver, "run_task", _make_run_task)
    # A broker may ask a queue for what is one of these tasks: that is no job of its own.
    patches.wrap(receiver.Receiver, "prefetcher", unrecorded)


def _make_kiq(original: Any) -> Any:
    @functools.wraps(original)
    async def kiq(self: Any, *args: Any, **kwargs: Any) -> Any:
        span = guarded(original, start_sending, "taskiq", _QUEUE, self.task_name)
        with sending(span):
            task = await original(self, *args, **kwargs)
            if span is not None:
                span.set_attribute("messaging.message.id", task.task_id)
            return task

    return kiq


def _make_prepare_message(original: Any) -> Any:
    @functools.wraps(original)
    def _prepare_message(*args: Any, **kwargs: Any) -> Any:
        message = original(*args, **kwargs)
        for name, value in (guarded(original, headers_here) or {}).items():
            message.labels.setdefault(name, value)
        return message

    return _prepare_message


def _make_run_task(original: Any) -> Any:
    @functools.wraps(original)
    async def run_task(self: Any, target: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        job = guarded(original, _begin, message)
        if job is None:
            return await original(self, target, message, *args, **kwargs)
        with running(job) as span:
            result = await original(self, target, message, *args, **kwargs)
            if result.error is not None:
                span.record_exception(result.error)
            return result

    return run_task


def _begin(message: Any) -> Request:
    return start_job(
        "taskiq", _QUEUE, message.labels, name=message.task_name, job_id=message.task_id
    )

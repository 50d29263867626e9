"""dramatiq: sending a message is a span, whose context travels in the message's options; each run
of an actor in a worker is a request of its own, linked to who has sent it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded
from asynchooks.libraries.jobs import headers_here, running, sending, start_job, start_sending
from asynchooks.libraries.routes import record_failure

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Request

NAME = "dramatiq"
MODULE = "dramatiq.worker"
SUPPORTED = ("1.14", "3")

# The option of a message that has our headers.
_OPTION = "asynchooks_trace"


def install(patches: Patches, module: ModuleType) -> None:
    from dramatiq.actor import Actor  # the application has imported them
    from dramatiq.broker import MessageProxy

    patches.wrap(Actor, "send_with_options", _make_send_with_options)
    patches.wrap(Actor, "message_with_options", _make_message_with_options)
    patches.wrap(_worker_thread(module), "process_message", _make_process_message)
    patches.wrap(MessageProxy, "stuff_exception", _make_stuff_exception)


def _worker_thread(module: Any) -> Any:
    return module.WorkerThread if hasattr(module, "WorkerThread") else module._WorkerThread


def _make_send_with_options(original: Any) -> Any:
    @functools.wraps(original)
    def send_with_options(self: Any, *args: Any, **options: Any) -> Any:
        span = guarded(original, start_sending, "dramatiq", self.queue_name, self.actor_name)
        with sending(span):
            message = original(self, *args, **options)
            if span is not None:
                span.set_attribute("messaging.message.id", message.message_id)
            return message

    return send_with_options


def _make_message_with_options(original: Any) -> Any:
    @functools.wraps(original)
    def message_with_options(self: Any, *args: Any, **options: Any) -> Any:
        headers = guarded(original, headers_here)
        if headers:
            options.setdefault(_OPTION, headers)
        return original(self, *args, **options)

    return message_with_options


def _make_process_message(original: Any) -> Any:
    @functools.wraps(original)
    def process_message(self: Any, message: Any) -> Any:
        job = guarded(original, _begin, message)
        if job is None:
            return original(self, message)
        with running(job):
            return original(self, message)

    return process_message


def _make_stuff_exception(original: Any) -> Any:
    @functools.wraps(original)
    def stuff_exception(self: Any, exception: BaseException) -> None:
        # By the worker that has run the actor, and passes it on to nobody.
        record_failure(exception)
        original(self, exception)

    return stuff_exception


def _begin(message: Any) -> Request:
    return start_job(
        "dramatiq",
        message.queue_name,
        message.options.get(_OPTION) or {},
        name=message.actor_name,
        job_id=message.message_id,
    )

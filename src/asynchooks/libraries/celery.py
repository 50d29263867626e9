"""Celery: sending a task is a span, whose context travels in the task's headers; each run of a task
in a worker is a request of its own, linked to who has sent it. A task that is applied where it
stands (eagerly) is part of what runs there."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded
from asynchooks.libraries.jobs import headers_here, running, sending, start_job, start_sending

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Request, Span

NAME = "celery"
MODULE = "celery.app.base"
SUPPORTED = ("5.3", "6")


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.Celery, "send_task", _make_send_task)
    for name in ("celery.app.trace", "celery.worker.consumer.consumer"):
        patches.when_imported(
            name, lambda user: patches.wrap(user, "build_tracer", _make_build_tracer)
        )


def _make_send_task(original: Any) -> Any:
    @functools.wraps(original)
    def send_task(self: Any, name: str, *args: Any, **options: Any) -> Any:
        span = guarded(original, _begin_sending, self, name, options)
        with sending(span):
            if span is not None:
                options["headers"] = {**(options.get("headers") or {}), **headers_here()}
            result = original(self, name, *args, **options)
            if span is not None:
                span.set_attribute("messaging.message.id", str(result.id))
            return result

    return send_task


def _begin_sending(app: Any, name: str, options: dict[str, Any]) -> Span | None:
    queue = options.get("queue") or app.conf.task_default_queue
    return start_sending("celery", str(queue), name)


def _make_build_tracer(original: Any) -> Any:
    """A tracer is what calls a task in a worker. It raises nothing, but returns what happened."""

    @functools.wraps(original)
    def build_tracer(name: str, *args: Any, **kwargs: Any) -> Any:
        tracer = original(name, *args, **kwargs)
        if kwargs.get("eager"):
            return tracer

        @functools.wraps(tracer)
        def trace_task(uuid: str, args: Any, kwargs: Any, request: Any = None) -> Any:
            ours = guarded(original, _begin, name, uuid, request or {})
            if ours is None:
                return tracer(uuid, args, kwargs, request)
            with running(ours) as span:
                result = tracer(uuid, args, kwargs, request)
                state = getattr(result.info, "state", None)
                if state == "FAILURE" and isinstance(result.info.retval, BaseException):
                    span.record_exception(result.info.retval)
                elif state is not None:
                    span.set_attribute("asynchooks.job.state", state)
                return result

        return trace_task

    return build_tracer


def _begin(name: str, uuid: str, request: Any) -> Request:
    delivery = request.get("delivery_info") or {}
    queue = delivery.get("routing_key") or "celery"
    return start_job("celery", str(queue), request, name=name, job_id=str(uuid))

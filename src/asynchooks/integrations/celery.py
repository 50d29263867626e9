"""Celery: stores travel in the headers of a task. Each task starts clean."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.integrations.carriers import KEY, pack, run_with

if TYPE_CHECKING:
    from collections.abc import Callable


def _packing(original: Any) -> Any:
    @functools.wraps(original)
    def send_task(*args: Any, **kwargs: Any) -> Any:
        packed = pack()
        if packed is not None:
            kwargs["headers"] = {**(kwargs.get("headers") or {}), KEY: packed}
        return original(*args, **kwargs)

    return send_task


def _making_tracers(original: Any) -> Any:
    """A tracer is what calls a task in a worker."""

    @functools.wraps(original)
    def build_tracer(*args: Any, **kwargs: Any) -> Any:
        tracer = original(*args, **kwargs)

        @functools.wraps(tracer)
        def trace_task(uuid: Any, args: Any, kwargs: Any, request: Any = None) -> Any:
            packed = (request or {}).get(KEY)
            return run_with(packed, tracer, uuid, args, kwargs, request)

        return trace_task

    return build_tracer


PATCHES: dict[str, Callable[[Any], Any]] = {
    "celery.app.base:Celery.send_task": _packing,
    "celery.app.trace:build_tracer": _making_tracers,
    "celery.worker.consumer.consumer:build_tracer": _making_tracers,
}

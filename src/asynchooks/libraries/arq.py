"""arq: enqueueing a job is a span, whose context travels in the job's record; each run of a job is
a request of its own, linked to who has enqueued it."""

from __future__ import annotations

import functools
import pickle
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded, step_out
from asynchooks.libraries.jobs import headers_here, running, sending, start_job, start_sending

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "arq"
MODULE = "arq.connections"
SUPPORTED = ("0.24", "1")

# The key of a job's record that has our headers; arq looks at its own only.
_KEY = "asynchooks_trace"


class _Run:
    """One call of `Worker.run_job`, and the job that it turns out to be once its record is read."""

    __slots__ = ("job_id", "queue", "scope", "span")

    def __init__(self, worker: Any, job_id: str) -> None:
        self.queue = worker.queue_name
        self.job_id = job_id
        self.scope: running | None = None
        self.span: Any = None

    def begin(self, record: dict[str, Any]) -> None:
        headers = record.get(_KEY) or {}
        job = start_job("arq", self.queue, headers, name=record["f"], job_id=self.job_id)
        self.scope = running(job)
        self.span = self.scope.__enter__()

    def end(self, exc: BaseException | None) -> None:
        if self.scope is not None:
            self.scope.__exit__(None, exc, None)


_run: ContextVar[_Run | None] = ContextVar("asynchooks.arq_run", default=None)


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.ArqRedis, "enqueue_job", _make_enqueue_job)
    patches.wrap(module, "serialize_job", _make_serialize_job)
    patches.when_imported("arq.worker", lambda worker: _install_worker(patches, worker))


def _install_worker(patches: Patches, worker: ModuleType) -> None:
    patches.wrap(worker.Worker, "run_job", _make_run_job)
    patches.wrap(worker, "deserialize_job_raw", _make_deserialize_job_raw)
    patches.wrap(worker, "serialize_result", _make_serialize_result)


def _make_enqueue_job(original: Any) -> Any:
    @functools.wraps(original)
    async def enqueue_job(self: Any, function: str, *args: Any, **kwargs: Any) -> Any:
        queue = kwargs.get("_queue_name") or self.default_queue_name
        span = guarded(original, start_sending, "arq", queue, function)
        with sending(span):
            job = await original(self, function, *args, **kwargs)
            if span is not None and job is not None:
                span.set_attribute("messaging.message.id", job.job_id)
            return job

    return enqueue_job


def _make_serialize_job(original: Any) -> Any:
    @functools.wraps(original)
    def serialize_job(*args: Any, serializer: Any = None) -> Any:
        headers = guarded(original, headers_here)
        if headers:
            serialize = serializer or pickle.dumps  # what arq takes

            def serializer(record: dict[str, Any]) -> Any:
                return serialize({**record, _KEY: headers})

        return original(*args, serializer=serializer)

    return serialize_job


def _make_run_job(original: Any) -> Any:
    @functools.wraps(original)
    async def run_job(self: Any, job_id: str, *args: Any, **kwargs: Any) -> Any:
        run = _Run(self, job_id)
        token = _run.set(run)
        try:
            result = await original(self, job_id, *args, **kwargs)
        except BaseException as exc:
            step_out(exc)
            run.end(exc)
            raise
        else:
            run.end(None)
            return result
        finally:
            _run.reset(token)

    return run_job


def _make_deserialize_job_raw(original: Any) -> Any:
    @functools.wraps(original)
    def deserialize_job_raw(raw: bytes, *, deserializer: Any = None) -> Any:
        def deserialize(raw: bytes) -> Any:
            record = (deserializer or pickle.loads)(raw)
            run = _run.get()
            if run is not None:
                guarded(original, run.begin, record)
            return record

        return original(raw, deserializer=deserialize)

    return deserialize_job_raw


def _make_serialize_result(original: Any) -> Any:
    @functools.wraps(original)
    def serialize_result(*args: Any, **kwargs: Any) -> Any:
        guarded(original, _record_result, *args, **kwargs)
        return original(*args, **kwargs)

    return serialize_result


def _record_result(
    function: Any,
    args: Any,
    kwargs: Any,
    job_try: Any,
    enqueue_time_ms: Any,
    success: bool,
    result: Any,
    *rest: Any,
    **named: Any,
) -> None:
    run = _run.get()
    if run is not None and run.span is not None and not success:
        run.span.record_exception(result)

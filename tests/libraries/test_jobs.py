"""Job queues, with their real brokers: who sends, what runs, and what links the two."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import arq
import arq.connections
import arq.worker
import celery  # type: ignore[import-untyped]
import celery.app.base  # type: ignore[import-untyped]
import celery.app.trace  # type: ignore[import-untyped]
import celery.contrib.testing.worker  # type: ignore[import-untyped]
import celery.signals  # type: ignore[import-untyped]
import dramatiq
import dramatiq.worker
import pytest
import redis
import taskiq
import taskiq.kicker
import taskiq.receiver.receiver
from arq.connections import RedisSettings
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from tests.libraries.jobs import check, of_kind, seen, work

from asynchooks.tracing import Request, SpanKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.libraries.conftest import Trace


@pytest.fixture
def redis_url(redis_port: int) -> str:
    """An empty Redis."""
    with redis.Redis(port=redis_port) as client:
        client.flushall()
    return f"redis://127.0.0.1:{redis_port}/0"


def celery_app(broker: str, backend: str) -> Any:
    app = celery.Celery("shop", broker=broker, backend=backend, set_as_current=False)
    app.conf.broker_connection_retry_on_startup = True
    app.task(name="work")(work)
    return app


def leave_logging_alone(**kwargs: object) -> None:
    """As long as somebody listens to this signal, Celery does not set logging up itself."""


@contextlib.contextmanager
def celery_worker(app: Any) -> Iterator[None]:
    celery.signals.setup_logging.connect(leave_logging_alone)
    with celery.contrib.testing.worker.start_worker(
        app, pool="solo", perform_ping_check=False, loglevel="CRITICAL"
    ):
        yield


@pytest.mark.filterwarnings("default")  # of Celery's own, in its worker's thread
@pytest.mark.parametrize("broker", ["memory://", pytest.param("redis", marks=pytest.mark.slow)])
def test_celery(trace: Trace, broker: str, request: pytest.FixtureRequest) -> None:
    if broker == "redis":
        broker = request.getfixturevalue("redis_url")
        backend = broker
    else:
        backend = "cache+memory://"
    app = celery_app(broker, backend)
    with celery_worker(app):
        with trace.request("r42") as sender:
            first = app.tasks["work"].delay("a")
            second = app.send_task("work", ["fail"])
        first.get(timeout=60)
        with pytest.raises(LookupError, match="no such lamp"):
            second.get(timeout=60)
    app.close()
    check(trace, sender, "celery", "celery", "work")


def test_a_celery_task_that_is_applied_is_part_of_what_runs(trace: Trace) -> None:
    app = celery_app("memory://", "cache+memory://")
    with trace.request() as sender:
        app.tasks["work"].apply(["a"])
    app.close()
    assert seen == [sender]
    assert trace.named("work a").parent == sender.span.context


@pytest.mark.parametrize("broker", ["stub", pytest.param("redis", marks=pytest.mark.slow)])
def test_dramatiq(trace: Trace, broker: str, request: pytest.FixtureRequest) -> None:
    brokers: dict[str, Any] = {"stub": StubBroker, "redis": RedisBroker}
    options = {} if broker == "stub" else {"url": request.getfixturevalue("redis_url")}
    queue = brokers[broker](**options)
    make_actor: Any = dramatiq.actor
    actor = make_actor(work, broker=queue, max_retries=0)
    with trace.request("r42") as sender:
        actor.send("a")
        actor.send_with_options(args=("fail",))
    worker = dramatiq.Worker(queue, worker_threads=2, worker_timeout=100)
    worker.start()
    if broker == "stub":
        queue.join("default", fail_fast=False)
    else:
        queue.join("default")
    worker.join()
    worker.stop()
    queue.close()
    check(trace, sender, "dramatiq", "default", "work")


class Pipe(taskiq.AsyncBroker):
    """A broker that hands on what goes over the wire."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: asyncio.Queue[bytes] = asyncio.Queue()

    async def kick(self, message: taskiq.BrokerMessage) -> None:
        await self.sent.put(message.message)

    async def listen(self) -> Any:
        while True:
            yield await self.sent.get()


def test_taskiq(trace: Trace) -> None:
    async def main() -> Request:
        broker = Pipe()

        @broker.task(task_name="work")
        async def task(name: str) -> None:
            await asyncio.sleep(0)
            work(name)

        with trace.request("r42") as sender:
            await task.kiq("a")
            await task.kiq("fail")
        receiver = taskiq.receiver.receiver.Receiver(broker)
        for _ in range(2):
            await receiver.callback(await broker.sent.get())
        return sender

    check(trace, asyncio.run(main()), "taskiq", "taskiq", "work")


def test_taskiq_in_the_same_process(trace: Trace) -> None:
    async def main() -> Request:
        broker = taskiq.InMemoryBroker()

        @broker.task(task_name="work")
        async def task(name: str) -> None:
            work(name)

        with trace.request("r42") as sender:
            for name in ("a", "fail"):
                await (await task.kiq(name)).wait_result(timeout=30)
        await broker.shutdown()
        return sender

    check(trace, asyncio.run(main()), "taskiq", "taskiq", "work")


# It is made for an older redis than others ask for, and uses what has been deprecated since.
@pytest.mark.filterwarnings("ignore:Call to '__init__' function with deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")
@pytest.mark.slow
@pytest.mark.parametrize("serializer", ["pickle", "json"])
def test_arq(trace: Trace, redis_url: str, serializer: str) -> None:
    options: dict[str, Any] = {}
    if serializer == "json":
        options = {
            "job_serializer": lambda record: json.dumps(record, default=repr).encode(),
            "job_deserializer": json.loads,
        }

    async def job(ctx: object, name: str) -> None:
        await asyncio.sleep(0)
        work(name)

    async def main() -> Request:
        pool = await arq.create_pool(RedisSettings.from_dsn(redis_url), **options)
        with trace.request("r42") as sender:
            await pool.enqueue_job("work", "a")
            await pool.enqueue_job("work", "fail")
        worker = arq.Worker(
            [arq.func(job, name="work")],
            redis_pool=pool,
            burst=True,
            handle_signals=False,
            poll_delay=0.01,
            **options,
        )
        await worker.async_run()
        await worker.close()
        return sender

    check(trace, asyncio.run(main()), "arq", "arq:queue", "work")


def test_jobs_at_once_of_many_requests_are_apart(trace: Trace) -> None:
    async def main() -> None:
        broker = taskiq.InMemoryBroker()

        @broker.task(task_name="work")
        async def task(name: str) -> None:
            await asyncio.sleep(0)
            work(name)

        async def send(number: int) -> None:
            with trace.request(f"r{number}"):
                await (await task.kiq(str(number))).wait_result(timeout=30)

        await asyncio.gather(*(send(number) for number in range(50)))
        await broker.shutdown()

    asyncio.run(main())
    run = of_kind(trace, SpanKind.CONSUMER)
    assert len({span.context.trace_id for span in run}) == 50
    worked = [span for span in trace.spans if span.name.startswith("work ")]
    assert len(worked) == 50
    for span in worked:
        assert span.request is not None
        assert span.request.id == f"r{span.name.removeprefix('work ')}"
        assert span.parent == span.request.span.context


def test_outside_of_a_request_nothing_travels_and_jobs_begin_anew(trace: Trace) -> None:
    async def main() -> None:
        broker = Pipe()

        @broker.task(task_name="work")
        async def task(name: str) -> None:
            work(name)

        await task.kiq("a")
        message = await broker.sent.get()
        assert b"traceparent" not in message
        await taskiq.receiver.receiver.Receiver(broker).callback(message)

    asyncio.run(main())
    (run,) = of_kind(trace, SpanKind.CONSUMER)
    assert run.links == []
    assert of_kind(trace, SpanKind.PRODUCER) == []

"""Job queues and schedulers: the rows f29 to f32, f41 and f50, and RQ. The brokers are real."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks
from asynchooks import _reporting
from asynchooks.integrations import carriers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.boundaries.conftest import Run
    from tests.boundaries.frameworks.conftest import Starter

    Storage = asynchooks.AsyncLocalStorage[Any]


@pytest.fixture
def portable(request: pytest.FixtureRequest) -> Storage:
    """A storage whose stores travel."""
    return asynchooks.AsyncLocalStorage(name=request.node.name, portable=True)


def test_only_what_json_gives_back_travels(
    engine: None, portable: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    _reporting.forget_reports()

    def travels(store: object) -> bool:
        packed = portable.run(store, carriers.pack)
        return carriers.unpack(packed).run(portable.get_store) == store

    assert travels("text")
    assert travels({"user": 1, "roles": ["a", None, 1.5]})
    assert caplog.records == []

    for stays in (("a", "tuple"), {1: "a key that is no string"}, object(), float("nan")):
        assert not travels(stays)
    (said,) = caplog.records  # once
    assert "a tuple, does not travel" in said.getMessage()


def test_stores_that_cannot_be_read_are_reported_and_the_job_runs(
    engine: None, portable: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    _reporting.forget_reports()
    assert carriers.unpack("no JSON").run(portable.get_store) is None
    assert carriers.unpack("[]").run(portable.get_store) is None
    assert carriers.unpack('{"nobody has this": 1}').run(portable.get_store) is None
    assert len(caplog.records) == 1


CELERY = """
import sys
import asynchooks
import celery

asynchooks.enable()
storage = asynchooks.AsyncLocalStorage(name="row", portable=True)
private = asynchooks.AsyncLocalStorage(name="private")
app = celery.Celery("app", broker=sys.argv[-1], backend=sys.argv[-1])
app.conf.broker_connection_retry_on_startup = True

@app.task(name="work")
def work(sets):
    found = [storage.get_store(), private.get_store()]
    if sets:
        storage.enter_with(sets)
        private.enter_with(sets)
    return found

@app.task(name="again", bind=True)
def again(self):
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    return storage.get_store()

if __name__ == "__main__":
    app.worker_main(["worker", "--pool", sys.argv[1], "--concurrency", "1", "--without-gossip",
                     "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["solo", "prefork", "threads"])
def test_f29_celery(
    engine: None, portable: Storage, start: Starter, redis_url: str, pool: str
) -> None:
    """The stores travel with the task, and what a task sets is not seen by the next."""
    import celery  # type: ignore[import-untyped]

    (start.folder / "worker.py").write_text(CELERY)
    worker = start.process(sys.executable, "worker.py", pool, redis_url)
    worker.wait_until(lambda: "ready." in worker.output, "the worker is ready")
    storage: Storage = asynchooks.AsyncLocalStorage(name="row", portable=True)

    with celery.Celery(broker=redis_url, backend=redis_url) as app:

        def send(name: str, *args: object) -> Any:
            return app.send_task(name, args).get(timeout=60)

        assert storage.run("A", send, "work", "residue") == ["A", None]
        assert send("work", None) == [None, None]
        assert storage.run({"user": 1}, send, "work", None) == [{"user": 1}, None]
        assert storage.run("B", send, "again") == "B"


@pytest.mark.slow
def test_f30_dramatiq(engine: None, portable: Storage, redis_url: str) -> None:
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    seen: list[Any] = []
    broker: Any = RedisBroker(url=redis_url)  # type: ignore[no-untyped-call]

    def work() -> None:
        seen.append(portable.get_store())
        portable.enter_with("residue")

    actor: Any = dramatiq.actor(broker=broker)(work)
    portable.run("A", actor.send)
    actor.send()
    portable.run("B", actor.send)
    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=100)
    worker.start()
    broker.join("default")
    worker.join()
    worker.stop()
    broker.close()

    assert sorted(seen, key=str) == ["A", "B", None]


def test_f31_taskiq_in_the_same_process(engine_on_or_off: None, storage: Storage, run: Run) -> None:
    import taskiq

    async def main() -> Any:
        broker = taskiq.InMemoryBroker()

        @broker.task
        async def work() -> Any:
            return storage.get_store()

        storage.enter_with("A")
        task = await work.kiq()
        return (await task.wait_result(timeout=30)).return_value

    assert run(main()) == "A"


def test_f31_taskiq_through_a_broker(engine: None, portable: Storage, run: Run) -> None:
    """What a broker is given is all that a worker has."""
    import taskiq
    from taskiq.receiver import Receiver

    class Pipe(taskiq.AsyncBroker):
        def __init__(self) -> None:
            super().__init__()
            self.sent: asyncio.Queue[bytes] = asyncio.Queue()

        async def kick(self, message: taskiq.BrokerMessage) -> None:
            await self.sent.put(message.message)

        async def listen(self) -> Any:
            while True:
                yield await self.sent.get()

    async def main() -> list[Any]:
        broker = Pipe()
        seen: list[Any] = []

        @broker.task
        async def work() -> None:
            seen.append(portable.get_store())
            portable.enter_with("residue")

        for store in ("A", None, "B"):
            if store is not None:
                portable.enter_with(store)
                await asyncio.create_task(work.kiq())
                portable.disable()
            else:
                await work.kiq()
        receiver = Receiver(broker)
        for _ in range(3):
            await asyncio.create_task(receiver.callback(await broker.sent.get()))
        return seen

    assert run(main()) == ["A", None, "B"]


# It is made for an older redis than Celery asks for, and uses what has been deprecated since.
@pytest.mark.filterwarnings("ignore:Call to '__init__' function with deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")
@pytest.mark.slow
@pytest.mark.parametrize("serializer", ["pickle", "json"])
def test_f32_arq(engine: None, portable: Storage, redis_url: str, serializer: str) -> None:
    import json

    import arq
    from arq.connections import RedisSettings

    seen: list[Any] = []

    async def job(ctx: object) -> None:
        seen.append(portable.get_store())
        portable.enter_with("residue")

    async def main() -> None:
        settings = RedisSettings.from_dsn(redis_url)
        options: dict[str, Any] = {}
        if serializer == "json":
            options = {
                "job_serializer": lambda record: json.dumps(record).encode(),
                "job_deserializer": json.loads,
            }
        pool = await arq.create_pool(settings, **options)
        await portable.run("A", pool.enqueue_job, "job")
        await pool.enqueue_job("job")
        await portable.run("B", pool.enqueue_job, "job")
        worker = arq.Worker(
            [arq.func(job, name="job")],
            redis_pool=pool,
            burst=True,
            handle_signals=False,
            poll_delay=0.01,
            **options,
        )
        await worker.async_run()
        await worker.close()

    asyncio.run(main())

    assert sorted(seen, key=str) == ["A", "B", None]


RQ_JOBS: dict[str, Callable[[], object]] = {}


def rq_job(name: str) -> None:
    """What a worker of RQ finds by its name."""
    RQ_JOBS[name]()


@pytest.mark.slow
def test_rq(engine: None, portable: Storage, redis_url: str) -> None:
    import redis
    import rq

    seen: list[Any] = []

    def work() -> None:
        seen.append(portable.get_store())
        portable.enter_with("residue")

    RQ_JOBS[portable.name] = work
    with redis.Redis.from_url(redis_url) as connection:
        queue = rq.Queue(connection=connection)
        for store in ("A", None, "B"):
            if store is None:
                queue.enqueue(rq_job, portable.name)
            else:
                portable.run(store, queue.enqueue, rq_job, portable.name)
        rq.SimpleWorker([queue], connection=connection).work(burst=True, logging_level="CRITICAL")

    assert seen == ["A", None, "B"]


def test_f41_apscheduler(engine: None, storage: Storage) -> None:
    from apscheduler.schedulers.background import (  # type: ignore[import-untyped]
        BackgroundScheduler,
    )

    seen: list[Any] = []
    done = threading.Semaphore(0)

    def work() -> None:
        seen.append(storage.get_store())
        storage.enter_with("residue")
        done.release()

    scheduler = BackgroundScheduler()
    scheduler.start()
    storage.run("A", scheduler.add_job, work)
    assert done.acquire(timeout=30)
    scheduler.add_job(work)
    assert done.acquire(timeout=30)
    scheduler.shutdown()

    assert seen == ["A", None]


def test_f50_joblib_threads(engine: None, storage: Storage) -> None:
    import joblib  # type: ignore[import-untyped]

    def work(number: int) -> Any:
        found = storage.get_store()
        storage.enter_with("residue")
        return found

    def main() -> Any:
        parallel = joblib.Parallel(n_jobs=2, backend="threading", batch_size=1)
        return parallel(joblib.delayed(work)(number) for number in range(20))

    assert storage.run("A", main) == ["A"] * 20
    assert main() == [None] * 20


TASKS = """
import asynchooks

storage = asynchooks.AsyncLocalStorage(name="row", portable=True)

def work(number):
    return storage.get_store()
"""

PROCESSES = """
import sys
import asynchooks
import joblib
from tasks import storage, work

def main():
    parallel = joblib.Parallel(n_jobs=2, backend=sys.argv[1], batch_size=1)
    return parallel(joblib.delayed(work)(number) for number in range(8))

if __name__ == "__main__":
    asynchooks.enable()
    print(storage.run("A", main), main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_f50_joblib_processes(run_script: Callable[..., str], tmp_path: Path, backend: str) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    assert run_script(PROCESSES, backend) == f"{['A'] * 8} {[None] * 8}\n"

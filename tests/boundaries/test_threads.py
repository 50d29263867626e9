"""Threads and executors: the rows t01 to t20."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import queue
import sched
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from logging.handlers import QueueHandler, QueueListener
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.boundaries.conftest import Run

    Storage = asynchooks.AsyncLocalStorage[Any]

variable: contextvars.ContextVar[str | None] = contextvars.ContextVar("variable", default=None)


def in_request(name: str, fn: Any, *args: Any) -> Any:
    """`fn(*args)` in a request of this name, by a plain context variable."""

    def request() -> Any:
        variable.set(name)
        return fn(*args)

    return contextvars.copy_context().run(request)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_t01_run_in_executor(engine: None, run: Run, storage: Storage) -> None:
    async def main() -> list[str | None]:
        variable.set("A")
        loop = asyncio.get_running_loop()
        with storage.use("A"):
            return [
                await loop.run_in_executor(None, variable.get),
                await loop.run_in_executor(None, storage.get_store),
            ]

    assert run(main()) == ["A", "A"]


def test_t02_to_thread(engine_on_or_off: None, run: Run, storage: Storage) -> None:
    async def main() -> list[str | None]:
        variable.set("A")
        with storage.use("A"):
            return [
                await asyncio.to_thread(variable.get),
                await asyncio.to_thread(storage.get_store),
            ]

    assert run(main()) == ["A", "A"]


def test_t03_submit(engine: None, pool: ThreadPoolExecutor, storage: Storage) -> None:
    assert in_request("A", pool.submit, variable.get).result() == "A"
    assert storage.run("A", pool.submit, storage.get_store).result() == "A"
    assert pool.submit(lambda: (variable.get(), storage.get_store())).result() == (None, None)


def test_t04_map(engine: None, pool: ThreadPoolExecutor, storage: Storage) -> None:
    def look(_: int) -> tuple[str | None, str | None]:
        return variable.get(), storage.get_store()

    def map_over() -> list[tuple[str | None, str | None]]:
        return list(pool.map(look, range(3)))

    assert storage.run("A", in_request, "A", map_over) == [("A", "A")] * 3


def test_t05_thread(engine: None, storage: Storage) -> None:
    seen: list[str | None] = []
    thread = threading.Thread(target=lambda: seen.extend([variable.get(), storage.get_store()]))

    storage.run("A", in_request, "A", thread.start)
    thread.join()

    assert seen == ["A", "A"]


def test_t06_timer(engine: None, storage: Storage) -> None:
    seen: list[str | None] = []
    timer = threading.Timer(0, lambda: seen.extend([variable.get(), storage.get_store()]))

    storage.run("A", in_request, "A", timer.start)
    timer.join()

    assert seen == ["A", "A"]


def test_t07_values_of_a_job(engine: None, pool: ThreadPoolExecutor, storage: Storage) -> None:
    def set_both() -> int:
        variable.set("job 1")
        storage.enter_with("job 1")
        return threading.get_ident()

    def look() -> tuple[int, str | None, str | None]:
        return threading.get_ident(), variable.get(), storage.get_store()

    thread = pool.submit(set_both).result()
    assert pool.submit(look).result() == (thread, None, None)
    assert storage.run("B", pool.submit, look).result() == (thread, None, "B")


def test_t07_what_the_initializer_sets_stays(engine: None, storage: Storage) -> None:
    """As without us, where the submitter has not set it himself."""
    unset: contextvars.ContextVar[str] = contextvars.ContextVar("unset")

    def initialize() -> None:
        variable.set("initializer")
        unset.set("initializer")
        storage.enter_with("initializer")

    def look_and_set() -> tuple[str | None, str, str | None]:
        found = variable.get(), unset.get(), storage.get_store()
        for var in (variable, unset):
            var.set("job")
        storage.enter_with("job")
        return found

    with ThreadPoolExecutor(1, initializer=initialize) as pool:
        expected = ("initializer", "initializer", "initializer")
        assert pool.submit(look_and_set).result() == expected
        assert in_request("A", pool.submit, look_and_set).result() == ("A", *expected[1:])
    with ThreadPool(1, initialize) as threads:
        assert threads.apply(look_and_set) == expected
        assert in_request("A", threads.apply, look_and_set) == ("A", *expected[1:])
        assert threads.apply(look_and_set) == expected
        assert storage.run("B", threads.apply, look_and_set) == (*expected[:2], "B")


def test_t08_first_submitter(engine: None, pool: ThreadPoolExecutor, storage: Storage) -> None:
    def look() -> tuple[str | None, str | None]:
        return variable.get(), storage.get_store()

    # This starts the pool's thread.
    assert storage.run("A", in_request, "A", pool.submit, look).result() == ("A", "A")
    assert storage.run("B", in_request, "B", pool.submit, look).result() == ("B", "B")
    assert pool.submit(look).result() == (None, None)


def test_t09_done_callback(engine: None, pool: ThreadPoolExecutor, storage: Storage) -> None:
    may_end = threading.Event()
    seen: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def look(future: Future[Any]) -> None:
        seen.put((variable.get(), storage.get_store(), threading.get_ident()))

    def job() -> int:
        may_end.wait()
        return threading.get_ident()

    future = storage.run("A", in_request, "A", pool.submit, job)
    storage.run("B", in_request, "B", future.add_done_callback, look)
    may_end.set()

    assert seen.get(timeout=60) == ("B", "B", future.result())


def test_t09_what_is_done_calls_back_at_once(engine_on_or_off: None) -> None:
    future: Future[None] = Future()
    future.set_result(None)

    def set_it(_: object) -> None:
        variable.set("set by it")

    def request() -> str | None:
        future.add_done_callback(set_it)
        return variable.get()

    assert contextvars.copy_context().run(request) == "set by it"


@pytest.mark.tool("snapshot")
def test_t10_one_context_in_two_threads(engine_on_or_off: None, storage: Storage) -> None:
    snapshot = storage.run("A", asynchooks.AsyncLocalStorage.snapshot)
    both_inside = threading.Barrier(2, timeout=60)
    seen: list[str | None] = []

    def inside() -> None:
        both_inside.wait()
        seen.append(storage.get_store())

    threads = [threading.Thread(target=snapshot, args=(inside,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == ["A", "A"]


def test_t12_logging_queue(engine: None, storage: Storage) -> None:
    records: queue.SimpleQueue[Any] = queue.SimpleQueue()
    seen: list[tuple[str, str | None, str | None, int]] = []
    attributes: list[set[str]] = []

    class Look(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            attributes.append(set(vars(record)))
            seen.append(
                (record.message, variable.get(), storage.get_store(), threading.get_ident())
            )

    logger = logging.Logger("row")  # noqa: LOG001 -- nobody else's
    logger.addHandler(QueueHandler(records))
    listener = QueueListener(records, Look())
    listener.start()
    storage.run("A", in_request, "A", logger.info, "of A")
    storage.run("B", in_request, "B", logger.info, "of B")
    logger.info("of nobody")
    listener.stop()

    assert [entry[:3] for entry in seen] == [
        ("of A", "A", "A"),
        ("of B", "B", "B"),
        ("of nobody", None, None),
    ]
    assert all(entry[3] != threading.get_ident() for entry in seen)
    # Nothing of ours is in what a formatter would write.
    assert attributes[0] == set(vars(logging.makeLogRecord({}))) | {"message"}


def test_t13_sched(engine: None, storage: Storage) -> None:
    scheduler = sched.scheduler()
    seen: list[str | None] = []

    def look() -> None:
        seen.extend([variable.get(), storage.get_store()])

    event = storage.run("A", in_request, "A", scheduler.enter, 0, 1, look)
    assert event.action == look
    assert event.action.__name__ == "look"
    thread = threading.Thread(target=scheduler.run)
    storage.run("B", in_request, "B", thread.start)
    thread.join()

    assert seen == ["A", "A"]


@pytest.mark.tool("a store that is changed, not replaced")
def test_t14_upward_out_of_a_thread(engine_on_or_off: None, run: Run, storage: Storage) -> None:
    def login() -> None:
        storage.get_store()["user"] = "ann"  # type: ignore[index] # it is a dict
        variable.set("ann")

    async def main() -> tuple[str | None, str | None]:
        with storage.use({}) as request:
            await asyncio.to_thread(login)
            return request["user"], variable.get()

    # What the thread sets itself stays there.
    assert run(main()) == ("ann", None)


def test_t15_call_soon_threadsafe(engine_on_or_off: None, run: Run, storage: Storage) -> None:
    async def main() -> tuple[str | None, str | None]:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[tuple[str | None, str | None]] = loop.create_future()

        def look() -> None:
            found.set_result((variable.get(), storage.get_store()))

        def work() -> None:
            variable.set("thread")
            storage.enter_with("thread")
            loop.call_soon_threadsafe(look)

        await asyncio.to_thread(work)
        return await found

    assert run(main()) == ("thread", "thread")


def test_t16_run_coroutine_threadsafe(engine_on_or_off: None, run: Run, storage: Storage) -> None:
    async def look() -> tuple[str | None, str | None]:
        return variable.get(), storage.get_store()

    async def main() -> tuple[str | None, str | None]:
        loop = asyncio.get_running_loop()

        def work() -> tuple[str | None, str | None]:
            variable.set("thread")
            storage.enter_with("thread")
            return asyncio.run_coroutine_threadsafe(look(), loop).result(60)

        return await asyncio.to_thread(work)

    assert run(main()) == ("thread", "thread")


def test_t17_wrap_future(
    engine_on_or_off: None, run: Run, pool: ThreadPoolExecutor, storage: Storage
) -> None:
    def work() -> None:
        variable.set("thread")
        storage.enter_with("thread")

    async def main() -> tuple[str | None, str | None]:
        variable.set("A")
        storage.enter_with("A")
        await asyncio.wrap_future(pool.submit(work))
        return variable.get(), storage.get_store()

    assert run(main()) == ("A", "A")


def test_t19_multiprocessing_thread_pool(engine: None, storage: Storage) -> None:
    called_back: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def look(_: object = None) -> tuple[str | None, str | None]:
        found = variable.get(), storage.get_store()
        variable.set("job 1")
        storage.enter_with("job 1")
        return found

    def call_back(result: object) -> None:
        called_back.put((result, look()))

    with ThreadPool(1) as pool:

        def submit() -> list[Any]:
            return [
                pool.apply_async(look, callback=call_back).get(60),
                pool.apply(look),
                *pool.map(look, range(2)),
                *pool.starmap(look, [(1,)]),
                *pool.imap(look, range(2)),
                *pool.imap_unordered(look, range(2)),
            ]

        assert storage.run("A", in_request, "A", submit) == [("A", "A")] * 9
        assert called_back.get(timeout=60) == (("A", "A"), ("A", "A"))
        assert pool.apply(look) == (None, None)

        def fail() -> None:
            raise LookupError

        errors = storage.run("B", pool.apply_async, fail, error_callback=call_back)
        errors.wait(60)
        error, found = called_back.get(timeout=60)
        assert (type(error), found) == (LookupError, (None, "B"))


@pytest.mark.skipif(sys.version_info < (3, 14), reason="threads have a context from 3.14 on")
def test_t05_a_context_of_ones_own_is_kept(engine: None) -> None:
    seen: list[str | None] = []
    context = contextvars.Context()
    context.run(variable.set, "own")
    thread = threading.Thread(
        target=lambda: seen.append(variable.get()),
        context=context,  # type: ignore[call-arg] # 3.14
    )
    in_request("A", thread.start)
    thread.join()
    assert seen == ["own"]

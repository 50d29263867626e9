"""Jobs of process pools: known here, and unchanged on their way."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import process as pools
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks
from asynchooks.context import portable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from tests.conftest import Activity


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def jobs() -> list[asynchooks.ResourceInfo]:
    return asynchooks.resources(kind="ExecutorJob")


def test_a_job_is_a_resource_made_by_its_submitter(
    activity: Activity, pool: ProcessPoolExecutor
) -> None:
    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        return asynchooks.execution_async_id(), await loop.run_in_executor(pool, os.getpid)

    me, pid = asyncio.run(main())
    assert pid != os.getpid()
    ((_, life),) = activity.of_type("ExecutorJob")
    assert life.trigger == me
    activity.forget_resources()
    gc.collect()
    asynchooks.AsyncResource("Flush").run_in_async_scope(len, "")
    # Nothing of it executes in this process.
    assert life.events == ["init", "destroy"]


def test_queued_and_running_are_apart(engine: None, pool: ProcessPoolExecutor) -> None:
    # The pool hands out one job more than it has workers.
    futures: list[Future[Any]] = [pool.submit(time.sleep, 0.05) for _ in range(4)]
    while not futures[0].running():
        pass
    infos = jobs()
    assert [info.owned_by for info in infos] == [pool] * len(infos)
    assert {info.name for info in infos} == {"sleep"}
    # The last has to wait for two others.
    assert infos[-1].state == "ready"
    assert infos[-1].run_time == 0
    for future in futures:
        future.result(60)
    gc.collect()
    assert jobs() == []


def test_a_job_that_is_cancelled_is_gone(engine: None, pool: ProcessPoolExecutor) -> None:
    futures: list[Future[Any]] = [pool.submit(time.sleep, 0.01) for _ in range(8)]
    assert futures[-1].cancel()
    del futures[-1]
    assert len(jobs()) <= 7
    for future in futures:
        future.result(60)


def test_what_is_pickled_is_what_would_be_without_us(
    pool: ProcessPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as no storage is portable."""
    monkeypatch.setattr(portable, "_storages", {})

    def submit() -> bytes:
        sent: list[bytes] = []
        put = pools._SafeQueue.put

        def note(queue: Any, item: Any, *args: Any, **kwargs: Any) -> None:
            if item is not None:
                item_id, item.work_id = item.work_id, 0
                sent.append(pickle.dumps(item))
                item.work_id = item_id
            put(queue, item, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(pools._SafeQueue, "put", note)
            assert pool.submit(divmod, 7, 3).result(60) == (2, 1)
        return sent[0]

    plain = submit()
    asynchooks.enable()
    try:
        assert submit() == plain
    finally:
        asynchooks.disable()


def test_what_cannot_be_pickled_and_what_comes_too_late(engine: None) -> None:
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises((AttributeError, pickle.PicklingError), match="pickle"),
    ):
        pool.submit(lambda: 1).result(60)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(len, "")
    gc.collect()
    assert jobs() == []


def test_a_pool_s_thread_is_nobody_s(engine: None, pool: ProcessPoolExecutor) -> None:
    def submit() -> int:
        return pool.submit(len, "").result(60)

    asynchooks.AsyncResource("Request").run_in_async_scope(submit)
    threads = [i for i in asynchooks.resources(kind="Thread") if "Manager" in i.name]
    assert [thread.created_by for thread in threads] == [0]

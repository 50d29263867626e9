"""trio, anyio, and what emits events: the rows f20, f25, f27, f28, f34 and f35."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import anyio.to_process
import anyio.to_thread
import pytest

if TYPE_CHECKING:
    from tests.boundaries.conftest import Run

    import asynchooks

    Storage = asynchooks.AsyncLocalStorage[Any]


def test_f20_aiosqlite(engine: None, storage: Storage, run: Run) -> None:
    """One connection, two requests: each SQL function and trace callback is its caller's."""
    import aiosqlite

    traced: list[Any] = []

    async def main() -> list[Any]:
        async with aiosqlite.connect(":memory:") as connection:
            await connection.create_function("store", 0, storage.get_store)
            await connection.set_trace_callback(
                lambda text: traced.append((text, storage.get_store()))
            )

            async def ask(store: str) -> Any:
                storage.enter_with(store)
                async with connection.execute("select store()") as cursor:
                    row = await cursor.fetchone()
                assert row is not None
                return row[0]

            seen = await asyncio.gather(ask("A"), ask("B"))
            await connection.set_trace_callback(None)  # type: ignore[arg-type]
            return list(seen)

    assert run(main()) == ["A", "B"]
    assert traced == [("select store()", "A"), ("select store()", "B")]


def test_f25_trio(engine_on_or_off: None, storage: Storage) -> None:
    import trio

    seen: list[Any] = []

    def in_thread() -> None:
        seen.append(storage.get_store())
        trio.from_thread.run(task, "from thread")
        seen.append(trio.from_thread.run_sync(storage.get_store))

    async def task(store: str) -> None:
        seen.append(storage.get_store())
        await trio.lowlevel.checkpoint()
        storage.enter_with(store)
        await trio.lowlevel.checkpoint()
        seen.append(storage.get_store())

    async def main() -> None:
        with storage.use("A"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(task, "task")
            await trio.to_thread.run_sync(in_thread)
            seen.append(storage.get_store())

    trio.run(main)

    assert seen == ["A", "task", "A", "A", "from thread", "A", "A"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_f27_anyio(engine_on_or_off: None, storage: Storage, backend: str) -> None:
    seen: list[Any] = []

    async def task() -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(storage.get_store())
        storage.enter_with("residue")

    def in_thread() -> None:
        seen.append(storage.get_store())
        anyio.from_thread.run(task)
        seen.append(anyio.from_thread.run_sync(storage.get_store))

    async def main() -> None:
        with storage.use("A"):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(task)
            await anyio.to_thread.run_sync(in_thread)
            seen.append(storage.get_store())

    anyio.run(main, backend=backend)
    assert seen == ["A"] * 5

    with anyio.from_thread.start_blocking_portal(backend=backend) as portal, storage.use("B"):
        portal.call(task)
    assert seen[5:] == ["B"]


@pytest.mark.slow
def test_f28_anyio_to_process(run_script: Any, tmp_path: Any) -> None:
    (tmp_path / "tasks.py").write_text(
        "import asynchooks\n"
        "storage = asynchooks.AsyncLocalStorage(name='row', portable=True)\n"
        "def work(number): return storage.get_store(), number\n"
    )
    script = """
import logging
import anyio, anyio.to_process, asynchooks, tasks

# On 3.12 asyncio and anyio race, with and without us, for the workers' exit status.
logging.getLogger("asyncio").setLevel(logging.ERROR)

async def main():
    asynchooks.enable()
    seen = [await tasks.storage.run("A", anyio.to_process.run_sync, tasks.work, 1)]
    seen.append(await anyio.to_process.run_sync(tasks.work, 2))
    seen.append(await tasks.storage.run("B", anyio.to_process.run_sync, tasks.work, 3))
    print(*seen)

if __name__ == "__main__":
    anyio.run(main)
"""
    assert run_script(script) == "('A', 1) (None, 2) ('B', 3)\n"


def test_f34_pyee_on_asyncio(engine_on_or_off: None, storage: Storage, run: Run) -> None:
    from pyee.asyncio import AsyncIOEventEmitter

    seen: list[Any] = []

    async def main() -> None:
        emitter = AsyncIOEventEmitter()
        done = asyncio.Event()

        async def coroutine() -> None:
            seen.append(storage.get_store())
            done.set()

        with storage.use("registered"):
            emitter.on("event", coroutine)
            emitter.on("event", lambda: seen.append(storage.get_store()))
        with storage.use("emitted"):
            emitter.emit("event")
        await done.wait()

    run(main())

    assert seen == ["emitted", "emitted"]


def test_f35_pyee_in_threads(engine: None, storage: Storage) -> None:
    from pyee.executor import ExecutorEventEmitter

    seen: list[Any] = []

    def handle() -> None:
        seen.append(storage.get_store())
        storage.enter_with("residue")

    with ExecutorEventEmitter() as emitter:
        emitter.on("event", handle)
        with storage.use("A"):
            emitter.emit("event")
        emitter.emit("event")

    assert sorted(seen, key=str) == ["A", None]

"""The rows where nobody can know whose context is wanted, and the application says so: `bind`,
`snapshot`, `detached`, `each`, `shared`.

Each shows both: what happens without the tool, where that is sure, and what with it.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import queue
import threading
import weakref
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from async_lru import alru_cache
from starlette.websockets import WebSocket

import asynchooks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.boundaries.conftest import Run

    Storage = asynchooks.AsyncLocalStorage[str | None]


@pytest.mark.tool("bind")
def test_k04_asyncio_queue(engine: None, run: Run, storage: Storage) -> None:
    async def main() -> None:
        jobs: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        seen: list[str | None] = []

        async def job() -> None:
            await asyncio.sleep(0)
            seen.append(storage.get_store())

        async def worker() -> None:
            while True:
                await (await jobs.get())()
                jobs.task_done()

        working = asyncio.create_task(storage.run("A", worker))
        storage.run("B", jobs.put_nowait, job)
        storage.run("B", lambda: jobs.put_nowait(asynchooks.bind(job)))
        await jobs.join()
        working.cancel()
        assert seen == ["A", "B"]

    run(main())


@pytest.mark.tool("detached, bind")
def test_k05_worker_that_the_first_request_starts(engine: None, run: Run, storage: Storage) -> None:
    class Feed:
        """Started by whoever comes first."""

        def __init__(self) -> None:
            self.jobs: asyncio.Queue[Callable[[], None]] = asyncio.Queue()
            self.worker: asyncio.Task[None] | None = None
            self.idle: list[str | None] = []

        def put(self, job: Callable[[], None]) -> None:
            if self.worker is None:
                with asynchooks.detached():
                    self.worker = asyncio.create_task(self.work())
            self.jobs.put_nowait(asynchooks.bind(job))

        async def work(self) -> None:
            while True:
                self.idle.append(storage.get_store())
                (await self.jobs.get())()
                self.jobs.task_done()

    async def main() -> None:
        feed = Feed()
        seen: list[str | None] = []
        for name in ("A", "B"):
            storage.run(name, feed.put, lambda: seen.append(storage.get_store()))
            await feed.jobs.join()
        assert feed.worker is not None
        (info,) = (i for i in asynchooks.resources() if i.resource is feed.worker)
        feed.worker.cancel()
        assert seen == ["A", "B"]
        assert set(feed.idle) == {None}
        assert (info.created_by, info.root) == (0, info.async_id), "nobody's"

    run(main())


@pytest.mark.tool("snapshot")
def test_t11_queue_to_a_thread(engine: None, storage: Storage) -> None:
    jobs: queue.Queue[Any] = queue.Queue()
    seen: list[str | None] = []

    def work() -> None:
        for here in iter(jobs.get, None):
            here(lambda: seen.append(storage.get_store()))
        seen.append(storage.get_store())

    worker = threading.Thread(target=work)
    storage.run("A", worker.start)
    for name in ("B", "C"):
        jobs.put(storage.run(name, asynchooks.snapshot))
    jobs.put(None)
    worker.join()
    assert seen == ["B", "C", "A"]


@pytest.mark.tool("snapshot")
def test_f26_anyio_memory_stream(engine: None, run: Run, storage: Storage) -> None:
    async def main() -> None:
        seen: list[tuple[str | None, str | None]] = []
        sender, receiver = anyio.create_memory_object_stream[asynchooks.Snapshot](10)

        async def handle() -> str | None:
            await anyio.sleep(0)
            return storage.get_store()

        async def receive() -> None:
            async for here in receiver:
                store = await here(handle)
                seen.append((store, storage.get_store()))

        async with receiver, anyio.create_task_group() as group:
            storage.run("A", group.start_soon, receive)
            async with sender:
                for name in ("B", "C"):
                    await sender.send(storage.run(name, asynchooks.snapshot))
        assert seen == [("B", "A"), ("C", "A")]

    run(main())


@pytest.mark.tool("detached")
def test_f48_singleton_client(engine: None, run: Run, storage: Storage) -> None:
    class Client:
        def __init__(self) -> None:
            self.messages: asyncio.Queue[str] = asyncio.Queue()
            self.seen: list[str | None] = []

        async def connect(self) -> None:
            await asyncio.sleep(0)
            self.reading = asyncio.create_task(self.read())

        async def read(self) -> None:
            while await self.messages.get():
                self.seen.append(storage.get_store())

        async def start(self, start: Callable[[], Awaitable[None]]) -> list[str | None]:
            await start()
            for message in ("for everybody", ""):
                self.messages.put_nowait(message)
            await self.reading
            return self.seen

    async def main() -> None:
        plain, neutral = Client(), Client()
        assert await storage.run("A", plain.start, plain.connect) == ["A"]
        assert await storage.run("A", neutral.start, asynchooks.detached(neutral.connect)) == [None]

    run(main())


@pytest.mark.tool("bind")
def test_t18_callback_of_a_long_lived_thread(engine: None, storage: Storage) -> None:
    class Client:
        """As clients of message brokers do: one thread calls whoever has registered."""

        def __init__(self) -> None:
            self.callbacks: list[Callable[[], None]] = []
            self.is_ready = threading.Event()
            self.thread = threading.Thread(target=self.serve)
            self.thread.start()

        def serve(self) -> None:
            self.is_ready.wait(60)
            for callback in self.callbacks:
                callback()

    seen: list[str | None] = []
    client = Client()

    def on_message() -> None:
        seen.append(storage.get_store())

    for name in ("A", "B"):
        storage.run(name, lambda: client.callbacks.append(asynchooks.bind(on_message)))
    client.callbacks.append(on_message)
    client.is_ready.set()
    client.thread.join()
    assert seen == ["A", "B", None]


@pytest.mark.tool("bind")
def test_k33_callback_of_a_c_thread(engine: None, storage: Storage) -> None:
    seen: list[str | None] = []

    def callback(_: object) -> None:
        seen.append(storage.get_store())

    signature = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    process = ctypes.CDLL(None)
    for function in (callback, storage.run("A", asynchooks.bind, callback)):
        routine = signature(function)
        thread = ctypes.c_ulong()
        assert process.pthread_create(ctypes.byref(thread), None, routine, None) == 0
        assert process.pthread_join(thread, None) == 0
    assert seen == [None, "A"]


@pytest.mark.tool("shared")
def test_k21_single_flight(engine: None, run: Run, storage: Storage) -> None:
    async def main() -> None:
        seen: list[Any] = []
        release = asyncio.Event()

        @asynchooks.shared
        async def rate(currency: str) -> str:
            task = asyncio.current_task()
            await release.wait()
            (info,) = (i for i in asynchooks.resources(kind="Task") if i.resource is task)
            seen.append((currency, storage.get_store(), info.created_by, info.linked_to))
            return currency

        async def waiter() -> str:
            return await rate("EUR")

        waiters = [asyncio.create_task(storage.run(name, waiter)) for name in ("A", "B")]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        release.set()
        assert await asyncio.gather(*waiters) == ["EUR", "EUR"]
        assert seen == [("EUR", None, 0, tuple(map(asynchooks.async_id, waiters)))]

    run(main())


@pytest.mark.tool("shared")
def test_f33_async_lru(engine: None, run: Run, storage: Storage) -> None:
    async def main() -> None:
        seen: list[str | None] = []

        async def load(key: str) -> str:
            await asyncio.sleep(0)
            seen.append(storage.get_store())
            return key

        plain = alru_cache()(load)
        neutral = asynchooks.shared(alru_cache()(load))

        async def waiter(cached: Callable[[str], Awaitable[str]]) -> str:
            return await cached("key")

        for cached in (plain, neutral):
            names = ("A", "B")
            waiters = [asyncio.create_task(storage.run(name, waiter, cached)) for name in names]
            assert await asyncio.gather(*waiters) == ["key", "key"]
        assert seen == ["A", None]

    run(main())


@pytest.mark.tool("each")
def test_f39_messages_of_a_websocket(engine: None, run: Run, storage: Storage) -> None:
    async def main() -> None:
        received = iter(
            [
                {"type": "websocket.connect"},
                {"type": "websocket.receive", "text": "log in"},
                {"type": "websocket.receive", "text": "work"},
                {"type": "websocket.disconnect", "code": 1000},
            ]
        )

        async def receive() -> Any:
            await asyncio.sleep(0)
            return next(received)

        async def send(message: Any) -> None:
            await asyncio.sleep(0)

        websocket = WebSocket({"type": "websocket", "headers": []}, receive, send)
        await websocket.accept()
        seen: list[tuple[str, str | None]] = []
        async for message in asynchooks.each(websocket.iter_text()):
            seen.append((message, storage.get_store()))
            storage.enter_with(message)
            await asyncio.sleep(0)
            assert storage.get_store() == message
        assert seen == [("log in", None), ("work", None)]
        assert storage.get_store() is None

    run(main())


class Store:
    """Something that a weak reference can watch."""


@pytest.mark.tool("detached")
def test_k12_long_timer(engine: None, run: Run) -> None:
    storage: asynchooks.AsyncLocalStorage[Store] = asynchooks.AsyncLocalStorage()

    def expire() -> None:
        """What a cache does much later."""

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def arm(call_later: Callable[..., asyncio.TimerHandle]) -> Any:
            store = Store()
            timer = storage.run(store, call_later, 3600, expire)
            return timer, weakref.ref(store)

        plain, held = arm(loop.call_later)
        (holder,) = asynchooks.held(storage)
        assert (holder.kind, holder.info.name) == ("TimerHandle", expire.__qualname__)
        assert holder.store is held()
        del holder
        neutral, freed = arm(asynchooks.detached(loop.call_later))
        assert held() is not None
        assert freed() is None
        plain.cancel()
        neutral.cancel()

    run(main())


@pytest.mark.tool("detached")
def test_k28_lru_cache(engine: None, storage: Storage) -> None:
    def greeting(number: int) -> str:
        return f"{number} for {storage.get_store()}"

    plain = functools.lru_cache(greeting)
    # What is kept for all is worked out for nobody, so that it cannot be of the first one.
    neutral = functools.lru_cache(asynchooks.detached(greeting))
    for name in ("A", "B"):
        assert storage.run(name, plain, 1) == "1 for A"
        assert storage.run(name, neutral, 1) == "1 for None"


@pytest.mark.tool("a store that is changed, not replaced")
def test_k30_what_a_child_task_sets(engine: None, run: Run, storage: Storage) -> None:
    request: asynchooks.AsyncLocalStorage[dict[str, str]] = asynchooks.AsyncLocalStorage()

    async def login() -> None:
        await asyncio.sleep(0)
        storage.enter_with("user")
        store = request.get_store()
        assert store is not None
        store["user"] = "user"

    async def main() -> None:
        with request.use({}) as store:
            await asyncio.create_task(login())
            assert store == {"user": "user"}
        assert storage.get_store() is None, "a task's context is its own"

    run(main())


@pytest.mark.tool("bind")
def test_f45_two_tasks_in_one_context(engine: None, run: Run, storage: Storage) -> None:
    """As a notebook's cells under a nested loop: the second is stepped inside a step of the
    first."""

    async def inner() -> str | None:
        return storage.get_store()

    async def main() -> None:
        here = storage.run("A", asynchooks.snapshot)

        async def outer() -> tuple[str | None, str | None]:
            nested = here(inner)
            with pytest.raises(StopIteration) as stop:
                nested.send(None)
            return stop.value.value, storage.get_store()

        task = asyncio.create_task(here(outer))
        assert await task == ("A", "A")
        context = here.context
        with pytest.raises(RuntimeError, match="cannot enter context"):
            context.run(context.run, storage.get_store)

    run(main())

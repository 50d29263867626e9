"""Coroutines, callbacks, transports and held memory: the rows of asyncio, k01 to k31."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # what `signal` is over
import asyncio
import atexit
import contextvars
import gc
import os
import signal
import subprocess
import sys
import threading
import unittest
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.boundaries.conftest import Run

    Storage = asynchooks.AsyncLocalStorage[Any]
    Seen = list[tuple[str | None, str | None]]

variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable", default=None)


@pytest.fixture
def both(storage: Storage) -> Both:
    return Both(storage)


class Both:
    """A plain context variable and a storage, which are to fare alike."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def set(self, value: Any) -> None:
        variable.set(value)
        self.storage.enter_with(value)

    def look(self, *_: object) -> Any:
        """What is in force, by either."""
        plain = variable.get()
        assert plain is self.storage.get_store()
        return plain

    def within(self, value: Any, fn: Callable[..., Any], *args: Any) -> Any:
        """`fn(*args)` in a request of its own."""

        def request() -> Any:
            self.set(value)
            return fn(*args)

        return contextvars.copy_context().run(request)


class Value:
    """What a request keeps in its context, and nobody else."""


# Controls.


def test_k01_tasks(engine_on_or_off: None, run: Run, both: Both) -> None:
    async def child(name: str) -> tuple[Any, Any]:
        before = both.look()
        both.set(name)
        await asyncio.sleep(0)
        return before, both.look()

    async def main() -> list[Any]:
        both.set("A")
        found = [await asyncio.create_task(child("1"))]
        found += await asyncio.gather(child("2"), child("3"))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(name)) for name in "45"]
        return [*found, *(task.result() for task in tasks), both.look()]

    assert run(main()) == [("A", name) for name in "12345"] + ["A"]


def test_k02_call_soon_and_timers(engine_on_or_off: None, run: Run, both: Both) -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        seen: list[Any] = []

        def look() -> None:
            seen.append(both.look())
            if len(seen) == 3:
                done.set_result(None)

        both.set("A")
        loop.call_soon(look)
        loop.call_later(0, look)
        loop.call_at(loop.time(), look)
        both.set("B")
        await done
        return seen

    assert run(main()) == ["A"] * 3


def test_k03_futures(engine_on_or_off: None, run: Run, both: Both) -> None:
    async def main() -> tuple[list[Any], Any]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        seen: list[Any] = []

        async def wait() -> Any:
            both.set("B")
            await future
            return both.look()

        both.set("A")
        future.add_done_callback(lambda _: seen.append(both.look()))
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        both.within("C", future.set_result, None)
        return seen, await task

    assert run(main()) == (["A"], "B")


def test_k08_readers(engine_on_or_off: None, run: Run, both: Both) -> None:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        found = loop.create_future()

        def look() -> None:
            loop.remove_reader(reading)
            found.set_result(both.look())

        both.within("A", loop.add_reader, reading, look)
        both.set("B")
        os.write(writing, b".")
        try:
            return await found
        finally:
            os.close(reading)
            os.close(writing)

    assert run(main()) == "A"


def test_k09_signal_handlers_of_a_loop(engine_on_or_off: None, run: Run, both: Both) -> None:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        found = loop.create_future()
        handler = lambda: found.set_result(both.look())  # noqa: E731
        both.within("A", loop.add_signal_handler, signal.SIGUSR2, handler)
        both.set("B")
        os.kill(os.getpid(), signal.SIGUSR2)
        try:
            return await found
        finally:
            loop.remove_signal_handler(signal.SIGUSR2)

    assert run(main()) == "A"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_k15_eager_tasks(engine_on_or_off: None, both: Both) -> None:
    """On asyncio's own loop: uvloop 0.23 gives its factory an argument that 3.13 does not take."""

    async def child() -> Any:
        before = both.look()
        both.set("child")
        return before

    async def main() -> tuple[Any, Any]:
        factory = asyncio.eager_task_factory  # type: ignore[attr-defined] # 3.12
        asyncio.get_running_loop().set_task_factory(factory)
        both.set("A")
        return await asyncio.create_task(child()), both.look()

    assert asyncio.run(main()) == ("A", "A")


def test_k25_isolated_test_case(engine_on_or_off: None) -> None:
    seen: list[Any] = []

    class Case(unittest.IsolatedAsyncioTestCase):
        def setUp(self) -> None:
            variable.set(["setUp"])

        async def asyncSetUp(self) -> None:
            variable.set([*variable.get(), "asyncSetUp"])

        async def test_it(self) -> None:
            seen.append(variable.get())

    # In a thread, which has its own context and no loop.
    thread = threading.Thread(target=lambda: Case("test_it").debug())
    thread.start()
    thread.join()
    assert seen == [["setUp", "asyncSetUp"]]


def test_k27_locks(engine_on_or_off: None, run: Run, both: Both) -> None:
    async def main() -> list[Any]:
        lock, event, semaphore = asyncio.Lock(), asyncio.Event(), asyncio.Semaphore(0)
        condition = asyncio.Condition()
        await lock.acquire()

        async def wait(name: str, waiting: Any) -> Any:
            both.set(name)
            await waiting
            return name, both.look()

        async def wait_for_condition() -> None:
            async with condition:
                await condition.wait()

        async with asyncio.TaskGroup() as group:
            waits = {
                "lock": lock.acquire(),
                "event": event.wait(),
                "semaphore": semaphore.acquire(),
                "condition": wait_for_condition(),
            }
            tasks = [group.create_task(wait(*item)) for item in waits.items()]
            await asyncio.sleep(0)
            await asyncio.sleep(0)

            def wake_all() -> None:
                lock.release()
                event.set()
                semaphore.release()

            both.within("the waker", wake_all)
            async with condition:
                condition.notify_all()
        return [task.result() for task in tasks]

    for name, seen in run(main()):
        assert seen == name


def test_k31_a_plain_await(engine_on_or_off: None, run: Run, both: Both) -> None:
    async def login() -> None:
        await asyncio.sleep(0)
        both.set("ann")

    async def main() -> Any:
        await login()
        return both.look()

    assert run(main()) == "ann"


# Connections.


class Echo(asyncio.Protocol):
    """A server's side: says every byte again."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Client(asyncio.Protocol):
    """Notes in which context it is told of what."""

    def __init__(self, both: Both) -> None:
        self._look = both.look
        self.seen: list[tuple[str, Any]] = []
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()

    def connection_made(self, transport: Any) -> None:
        self.seen.append(("made", self._look()))

    def data_received(self, data: bytes) -> None:
        self.seen.append(("data", self._look()))
        self.answers.put_nowait(data)


async def serve() -> tuple[asyncio.Server, int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


def test_k06_pooled_connection(engine: None, run: Run, both: Both) -> None:
    async def main() -> tuple[list[Any], Any]:
        server, port = await serve()
        factory_saw: list[Any] = []

        def make() -> Client:
            factory_saw.append(both.look())
            return Client(both)

        async def request(name: str, pool: list[Any]) -> Any:
            both.set(name)
            if not pool:
                loop = asyncio.get_running_loop()
                pool.extend(await loop.create_connection(make, "127.0.0.1", port))
            transport, client = pool
            transport.write(b".")
            await client.answers.get()
            return both.look()

        pool: list[Any] = []
        async with server:
            for name in "AB":
                assert await asyncio.create_task(request(name, pool)) == name
            transport, client = pool
            transport.close()
            del transport
        # What opens it is in its own context, as ever.
        assert factory_saw == ["A"]
        return client.seen, both.look()

    seen, own = run(main())
    assert seen == [("made", None), ("data", None), ("data", None)]
    assert own is None


def test_k06_it_has_what_the_loop_was_started_with(engine: None, run: Run, both: Both) -> None:
    async def main() -> list[tuple[str, Any]]:
        server, port = await serve()
        both.set("A")
        async with server:
            loop = asyncio.get_running_loop()
            transport, client = await loop.create_connection(
                lambda: Client(both), "127.0.0.1", port
            )
            transport.write(b".")
            await client.answers.get()
            transport.close()
            return client.seen

    assert both.within("the process", run, main()) == [
        ("made", "the process"),
        ("data", "the process"),
    ]


def test_k06_an_error_looks_as_without_us(run: Run) -> None:
    async def main() -> tuple[list[str], str]:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: Echo(), "127.0.0.1", 0)
        except OSError as exc:
            import traceback

            names = [frame.name for frame in traceback.extract_tb(exc.__traceback__)]
            return names, repr(exc)
        raise AssertionError("connected")

    plain = run(main())
    asynchooks.enable()
    try:
        assert run(main()) == plain
    finally:
        asynchooks.disable()


def test_k07_server_connection(engine: None, run: Run, both: Both) -> None:
    """Each request runs in the context of the connection, whatever the one before it did."""
    seen: list[Any] = []

    class Server(Echo):
        def data_received(self, data: bytes) -> None:
            seen.append(both.look())
            self.transport.pause_reading()

            def request() -> None:
                self.transport.resume_reading()
                self.transport.write(data)

            both.within(data.decode(), asyncio.get_running_loop().call_soon, request)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        both.set("application")
        server = await loop.create_server(Server, "127.0.0.1", 0)
        both.set("later")
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for name in (b"1", b"2", b"3"):
                writer.write(name)
                assert await reader.readexactly(1) == name
            writer.close()
            await writer.wait_closed()

    run(main())
    assert seen == ["application"] * 3


def test_k14_connection_holds_nobody(engine: None, run: Run, both: Both) -> None:
    async def main() -> None:
        server, port = await serve()

        async def request() -> tuple[Any, weakref.ref[Value]]:
            value = Value()
            both.set(value)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b".")
            assert await reader.readexactly(1) == b"."
            return (reader, writer), weakref.ref(value)

        async with server:
            (_, writer), value = await asyncio.create_task(request())
            await asyncio.sleep(0)
            gc.collect()
            assert value() is None
            writer.close()
            await writer.wait_closed()

    run(main())


def test_k26_datagrams(engine: None, run: Run, both: Both) -> None:
    class Endpoint(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.seen: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.seen.put_nowait((data, both.look()))

    async def main() -> tuple[bytes, Any]:
        loop = asyncio.get_running_loop()

        async def open_endpoint() -> Any:
            both.set("A")
            return await loop.create_datagram_endpoint(Endpoint, local_addr=("127.0.0.1", 0))

        transport, endpoint = await asyncio.create_task(open_endpoint())
        both.set("B")
        transport.sendto(b"for B", transport.get_extra_info("sockname"))
        received: tuple[bytes, Any] = await endpoint.seen.get()
        transport.close()
        return received

    assert run(main()) == (b"for B", None)


# Callbacks of the interpreter's.


def test_k10_signal_handler(engine: None, both: Both) -> None:
    seen: list[Any] = []

    def handler(number: int, frame: Any) -> None:
        seen.append((both.look(), frame.f_code.co_name))

    before = signal.getsignal(signal.SIGUSR2)
    try:
        assert both.within("A", signal.signal, signal.SIGUSR2, handler) is before
        assert signal.getsignal(signal.SIGUSR2) is handler

        def interrupted() -> None:
            signal.raise_signal(signal.SIGUSR2)

        both.within("B", interrupted)
        assert seen == [("A", "interrupted")]
        asynchooks.disable()
        # None of ours is left with the interpreter.
        assert signal.getsignal(signal.SIGUSR2) is handler
    finally:
        assert signal.signal(signal.SIGUSR2, before) is handler


def test_k10_a_loop_s_own_handler_is_left_alone(engine: None, run: Run) -> None:
    registered: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR2, int)
        registered.append(_signal.getsignal(signal.SIGUSR2))
        loop.remove_signal_handler(signal.SIGUSR2)

    run(main())
    assert type(registered[0]).__name__ != "Wrapper"


def test_k10_what_somebody_has_kept_calls_through(both: Both) -> None:
    """`from signal import signal`, say, while the engine was on."""
    asynchooks.enable()
    kept, register = signal.signal, atexit.register
    asynchooks.disable()
    assert kept is not signal.signal

    def handler(number: int, frame: object) -> None:
        raise AssertionError("not called")

    before = kept(signal.SIGUSR2, handler)
    try:
        assert _signal.getsignal(signal.SIGUSR2) is handler
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert register(handler) is handler
    atexit.unregister(handler)


def test_k22_finalize(engine: None, both: Both) -> None:
    seen: list[Any] = []

    def look(name: str) -> None:
        seen.append((name, both.look()))

    owned, detached = Value(), Value()
    finalizer = both.within("A", weakref.finalize, owned, look, "owned")
    other = both.within("A", weakref.finalize, detached, look, "detached")
    assert finalizer.peek() == (owned, look, ("owned",), {})
    assert other.detach() == (detached, look, ("detached",), {})

    def collect() -> None:
        nonlocal owned
        owned = Value()

    both.within("B", collect)
    assert seen == [("owned", "A")]
    assert not finalizer.alive


@pytest.mark.impossible("the interpreter calls it itself")
def test_k22_del_has_the_context_of_the_collection(engine_on_or_off: None, both: Both) -> None:
    """The part that nothing can be done about: the interpreter calls it itself."""
    seen: list[Any] = []

    class Owned:
        def __del__(self) -> None:
            seen.append(both.look())

    held = both.within("A", lambda: [Owned()])
    both.within("B", held.clear)
    assert seen == ["B"]


ATEXIT = """
import atexit, contextvars
import asynchooks
asynchooks.enable()
variable = contextvars.ContextVar("variable", default=None)
def tell(name):
    print(name, variable.get())
def twice():
    print("never")
def request():
    variable.set("A")
    assert atexit.register(tell, "registered in A saw") is tell
    atexit.register(twice)
contextvars.copy_context().run(request)
atexit.unregister(twice)
variable.set("main")
"""


def test_k23_atexit(engine: None) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ATEXIT], check=True, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("registered in A saw A\n", "")


def test_k23_it_is_the_function(engine: None) -> None:
    def fn() -> None:
        raise AssertionError("it was taken back")

    assert atexit.register(fn) is fn
    atexit.unregister(fn)
    with pytest.raises(TypeError, match="callable"):
        atexit.register(1)  # type: ignore[arg-type] # on purpose
    with pytest.raises(TypeError):
        atexit.register()  # type: ignore[call-arg] # on purpose


# Held memory.


def test_k11_cancelled_timer(engine: None, run: Run, both: Both) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        # An earlier one that lives keeps the others in the heap.
        earlier = loop.call_later(1800, int)

        async def request() -> weakref.ref[Value]:
            value = Value()
            both.set(value)
            async with asyncio.timeout(3600):
                await asyncio.sleep(0)
            return weakref.ref(value)

        value = await asyncio.create_task(request())
        await asyncio.sleep(0)
        gc.collect()
        assert value() is None
        earlier.cancel()

    run(main())


@pytest.mark.impossible("from 3.12 on Task.get_context() gives it to whoever has the task")
def test_k13_finished_task(engine_on_or_off: None, run: Run, both: Both) -> None:
    async def main() -> None:
        async def request() -> weakref.ref[Value]:
            value = Value()
            both.set(value)
            return weakref.ref(value)

        task = asyncio.create_task(request())
        value = await task
        gc.collect()
        assert value() is not None
        del task
        await asyncio.sleep(0)
        gc.collect()
        assert value() is None

    run(main())


# Exception handlers.


def test_k18_handler_of_a_failing_callback(engine: None, run: Run, both: Both) -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        seen: list[Any] = []
        told = loop.create_future()

        def handler(_: object, context: dict[str, Any]) -> None:
            seen.append((type(context["exception"]), both.look()))
            told.set_result(None)

        loop.set_exception_handler(handler)

        def fail() -> None:
            raise LookupError

        both.within("A", loop.call_soon, fail)
        both.set("B")
        await told
        return seen

    assert run(main()) == [(LookupError, "A")]


def test_k19_handler_of_a_failing_task(engine: None, run: Run, both: Both) -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        seen: list[Any] = []
        loop.set_exception_handler(
            lambda _, context: seen.append((context["message"], both.look()))
        )

        async def fail() -> None:
            both.set("A")
            raise LookupError

        task = asyncio.create_task(fail())
        await asyncio.wait([task])
        both.set("B")
        del task
        gc.collect()
        return seen

    assert run(main()) == [("Task exception was never retrieved", "A")]


# Subprocesses, runners, and what else has a loop.


def test_k20_subprocess_protocol(engine: None, run: Run, both: Both) -> None:
    class Protocol(asyncio.SubprocessProtocol):
        def __init__(self) -> None:
            self.seen: dict[str, Any] = {}
            self.is_over = asyncio.get_running_loop().create_future()

        def pipe_data_received(self, fd: int, data: bytes) -> None:
            self.seen["data"] = both.look()

        def process_exited(self) -> None:
            self.seen["exited"] = both.look()

        def connection_lost(self, exc: Exception | None) -> None:
            self.seen["lost"] = both.look()
            self.is_over.set_result(None)

    async def main() -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        both.set("A")
        transport, protocol = await loop.subprocess_exec(Protocol, sys.executable, "-c", "print()")
        both.set("B")
        await protocol.is_over
        transport.close()
        return protocol.seen

    assert run(main()) == {"data": "A", "exited": "A", "lost": "A"}


@pytest.mark.tool("a store that is changed, not replaced")
def test_k16_upward_out_of_a_run(engine_on_or_off: None, run: Run, storage: Storage) -> None:
    async def main() -> None:
        storage.get_store()["user"] = "ann"  # type: ignore[index] # it is a dict
        variable.set("ann")

    with storage.use({}) as request:
        run(main())
        assert request == {"user": "ann"}
    assert variable.get() is None


def test_k17_between_two_runs(engine: None, both: Both) -> None:
    async def look() -> Any:
        before = both.look()
        variable_of_the_run.set("stays")
        return before, variable_of_the_run.get()

    variable_of_the_run: contextvars.ContextVar[str] = contextvars.ContextVar("run")

    def runs() -> list[Any]:
        with asyncio.Runner() as runner:
            both.set("1")
            found = [runner.run(look())]
            both.set("2")
            found.append(runner.run(look()))
            # What the runs have set themselves, and the caller has not, they find again.
            found.append(runner.run(stays()))
            return found

    async def stays() -> str:
        return variable_of_the_run.get()

    found = contextvars.copy_context().run(runs)
    assert found == [("1", "stays"), ("2", "stays"), "stays"]


REPL = """\
import contextvars
variable = contextvars.ContextVar("variable", default="lost")
_ = variable.set("kept")
print("variable:", variable.get())
"""


@pytest.mark.impossible("the console is no module, and makes a task of each line; 3.14 keeps it")
def test_k24_repl(engine: None) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "asyncio"],
        check=True,
        capture_output=True,
        text=True,
        input=REPL,
        env={**os.environ, "ASYNCHOOKS": "1", "PYTHON_BASIC_REPL": "1"},
    )
    expected = "kept" if sys.version_info >= (3, 14) else "lost"
    assert f"variable: {expected}" in done.stdout


def test_k29_second_loop_in_a_thread(engine: None, run: Run, both: Both) -> None:
    async def look() -> Any:
        await asyncio.sleep(0)
        return both.look()

    async def main() -> Any:
        both.set("A")
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(asyncio.run(look())))
        thread.start()
        thread.join()
        return found

    assert run(main()) == ["A"]

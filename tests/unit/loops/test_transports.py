"""Connections: made by who connected or by the server, and what their protocols do is theirs."""

from __future__ import annotations

import asyncio
import gc
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.loops.programs import tls_contexts

import asynchooks
from asynchooks import _native

if TYPE_CHECKING:
    from tests.conftest import Activity
    from tests.unit.loops.conftest import Run


class Recording(asyncio.Protocol):
    """Notes what executes in each of its methods."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.transport: Any = None
        self.came = asyncio.Event()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._note("made")

    def data_received(self, data: bytes) -> None:
        self._note("received")
        self.came.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._note("lost")
        self.lost.set()

    def _note(self, what: str) -> None:
        self.seen.append((what, asynchooks.execution_async_id()))


class Buffered(asyncio.BufferedProtocol):
    """As much of it, for a protocol with a buffer of its own."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.came = asyncio.Event()
        self._buffer = bytearray(100)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.seen.append(asynchooks.execution_async_id())
        self.came.set()


async def connect(
    server: asyncio.Server | asyncio.AbstractServer, protocol: Any = Recording, **options: Any
) -> Any:
    port = server.sockets[0].getsockname()[1]  # type: ignore[union-attr] # a Server of either loop
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(protocol, "127.0.0.1", port, **options))[1]


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["tcp", "tls"])
def test_both_ends_and_their_maker(
    engine: None, run: Run, loop_name: str, is_encrypted: bool
) -> None:
    serving, asking = tls_contexts() if is_encrypted else (None, None)
    protocols: list[Recording] = []

    def accept() -> Recording:
        protocols.append(Recording())
        return protocols[-1]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(accept, "127.0.0.1", 0, ssl=serving)
        client = await connect(server, ssl=asking)
        client.transport.write(b"hello")
        while not protocols:
            await asyncio.sleep(0)
        (accepted,) = protocols
        await accepted.came.wait()
        infos = {info.async_id: info for info in asynchooks.resources()}
        ours, theirs = (
            infos[asynchooks.async_id(protocol.transport)] for protocol in (client, accepted)
        )
        assert (ours.kind, theirs.kind) == ("Transport", "Transport")
        assert ours.created_by == asynchooks.execution_async_id()
        assert theirs.created_by == asynchooks.async_id(server)
        assert ours.owned_by is None
        assert theirs.owned_by is server
        assert infos[asynchooks.async_id(server)].created_by == asynchooks.execution_async_id()
        assert ours.site is not None
        assert ours.site.function.endswith("connect")
        client.transport.close()
        await client.lost.wait()
        await accepted.lost.wait()
        server.close()
        await server.wait_closed()
        # What each method of the protocol ran as.
        is_seen = loop_name == "asyncio"
        expected = {
            "made": theirs.async_id,
            "received": theirs.async_id if is_seen or not is_encrypted else 1,
            "lost": theirs.async_id if is_seen and not is_encrypted else None,
        }
        for what, async_id in accepted.seen:
            assert expected[what] in (async_id, None), what

    run(main())


def test_a_protocol_with_its_own_buffer(engine: None, run: Run) -> None:
    protocols: list[Buffered] = []

    def accept() -> Buffered:
        protocols.append(Buffered())
        return protocols[-1]

    async def main() -> None:
        serving, asking = tls_contexts()
        for ours, theirs in ((None, None), (asking, serving)):
            protocols.clear()
            loop = asyncio.get_running_loop()
            server = await loop.create_server(accept, "127.0.0.1", 0, ssl=theirs)
            client = await connect(server, ssl=ours)
            client.transport.write(b"hello")
            while not protocols:
                await asyncio.sleep(0)
            await protocols[0].came.wait()
            assert protocols[0].seen == [asynchooks.async_id(protocols[0].transport)]
            client.transport.close()
            await client.lost.wait()
            server.close()

    run(main())


def test_the_task_that_serves_a_connection_is_made_by_it(activity: Activity, run: Run) -> None:
    served: list[tuple[int, Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made_by = asynchooks.trigger_async_id(), asynchooks.async_id(writer.transport)
        served.append(made_by)
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    run(main())
    ((trigger, transport),) = served
    assert trigger == transport != 0


def test_nothing_of_us_is_left_on_a_protocol(engine: None, run: Run) -> None:
    class Careful(Recording):
        """Has attributes of these names itself."""

        def __init__(self) -> None:
            super().__init__()
            self.data_received = super().data_received  # type: ignore[method-assign]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recording, "127.0.0.1", 0)
        for kind in (Recording, Careful):
            plain = {name: type(value) for name, value in vars(kind()).items()}
            protocol = await connect(server, kind)
            now = {name: type(value) for name, value in vars(protocol).items()}
            now["transport"] = plain["transport"]
            assert now == plain
            protocol.transport.close()
            await protocol.lost.wait()
        server.close()

    run(main())


def test_a_protocol_without_attributes_works_all_the_same(engine: None, run: Run) -> None:
    class Slotted:
        __slots__ = ("transport",)

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None: ...

        def connection_lost(self, exc: Exception | None) -> None: ...

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recording, "127.0.0.1", 0)
        protocol = await connect(server, Slotted)
        protocol.transport.close()
        server.close()

    run(main())


def errors_of_a_loop(run: Run) -> list[object]:
    """What goes wrong with connections, and how it looks."""
    errors: list[object] = []

    def fail() -> Any:
        raise LookupError("its own")

    async def note(awaitable: Any) -> None:
        try:
            await awaitable
        except Exception as exc:
            frames = [frame.name for frame in traceback.extract_tb(exc.__traceback__)]
            errors.append((type(exc), str(exc), frames))

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        server = await loop.create_server(Recording, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        await note(loop.create_connection(fail, "127.0.0.1", port))
        await note(loop.create_connection(3, "127.0.0.1", port))
        await note(loop.create_server(Recording, "256.0.0.1", 0))
        await note(loop.getaddrinfo("no such name", 80))
        await note(loop.getnameinfo(("not an address", 80)))
        await note(loop.subprocess_exec(asyncio.SubprocessProtocol, "/no/such/program"))
        for call in (loop.create_connection, loop.create_server, loop.getaddrinfo):
            try:
                await call()
            except TypeError as exc:
                errors.append((str(exc), len(traceback.extract_tb(exc.__traceback__))))
        server.close()

    run(main())
    return errors


# asyncio does not close the socket of a connection whose protocol cannot be made.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_errors_look_the_same(run: Run) -> None:
    plain = errors_of_a_loop(run)
    asynchooks.enable()
    try:
        assert errors_of_a_loop(run) == plain
    finally:
        asynchooks.disable()
    assert len(plain) == 9


def test_a_connection_that_fails_leaves_nothing(engine: None, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recording, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        for _ in range(3):
            with pytest.raises(OSError, match=r"Connect call failed|Connection refused"):
                await loop.create_connection(Recording, "127.0.0.1", port)

    run(main())
    gc.collect()
    counts = _native.live_counts()
    assert counts["Transport"] == counts["Server"] == 0


def test_upgrading_a_connection(engine: None, run: Run) -> None:
    serving, asking = tls_contexts()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.start_tls(serving)
        writer.write(await reader.readexactly(5))
        await writer.drain()
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            before = asynchooks.async_id(writer.transport)
            await writer.start_tls(asking)
            after = asynchooks.async_id(writer.transport)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            assert 0 != before != after != 0
            writer.close()

    run(main())


def test_a_subprocess_owns_its_pipes(engine: None, run: Run) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            "/bin/cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        infos = asynchooks.resources(kind=("Subprocess", "Transport"))
        (child,) = (info for info in infos if info.kind == "Subprocess")
        pipes = [info for info in infos if info.kind == "Transport"]
        assert child.created_by == asynchooks.execution_async_id()
        assert [pipe.created_by for pipe in pipes] == [child.async_id] * 2
        assert [pipe.owned_by for pipe in pipes] == [child.resource] * 2
        assert (await process.communicate(b"hello"))[0] == b"hello"

    run(main())


def test_enabled_and_disabled_while_connected(run: Run) -> None:
    served: asyncio.Queue[None] = asyncio.Queue()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()
        await writer.wait_closed()
        served.put_nowait(None)

    async def main() -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            streams = []
            for change in (asynchooks.enable, asynchooks.disable, asynchooks.enable):
                streams.append(await asyncio.open_connection("127.0.0.1", port))
                change()
                for reader, writer in streams:
                    writer.write(b"hello")
                    assert await reader.readexactly(5) == b"hello"
            for _, writer in streams:
                writer.close()
                await served.get()

    try:
        run(main())
    finally:
        asynchooks.disable()

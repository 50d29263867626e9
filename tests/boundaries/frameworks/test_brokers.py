"""Clients of brokers: whose context their callbacks and their tasks have. The brokers are real."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

import asynchooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Storage = asynchooks.AsyncLocalStorage[Any]

DEADLINE = 60.0


async def in_a_task(storage: Storage, store: str, function: Callable[[], Awaitable[Any]]) -> Any:
    """What `function` returns, which is awaited in a task that has this store."""

    async def run() -> Any:
        return await function()

    return await asyncio.create_task(storage.run(store, run))


class Wire:
    """Between a client and its server, to be cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += (writer, to_server)
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(_pass_on(reader, to_server), _pass_on(from_server, writer))

    def cut(self) -> None:
        while self._writers:
            self._writers.pop().transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@contextlib.asynccontextmanager
async def wired(url: str) -> AsyncIterator[tuple[str, Wire]]:
    """The URL of the same server behind a wire, and that."""
    port = urlsplit(url).port or 0
    wire = Wire(port)
    async with await asyncio.start_server(wire.relay, "127.0.0.1", 0) as server:
        yield url.replace(str(port), str(server.sockets[0].getsockname()[1])), wire
        wire.cut()


@pytest.mark.slow
@pytest.mark.parametrize("is_robust", [False, True])
def test_a_message_has_the_context_in_which_its_callback_was_registered(
    engine_on_or_off: None, storage: Storage, rabbitmq: str, is_robust: bool
) -> None:
    import aio_pika

    connect: Any = aio_pika.connect
    if is_robust:
        connect = partial(aio_pika.connect_robust, reconnect_interval=0.05)
    expected = "consumer" if asynchooks.is_enabled() else "opener"

    async def main(url: str, wire: Wire) -> None:
        found: asyncio.Queue[Any] = asyncio.Queue()

        async def handle(message: Any) -> None:
            found.put_nowait(storage.get_store())
            storage.enter_with("residue")

        async def open_channel() -> Any:
            connection = await connect(url)
            return connection, await connection.channel()

        async def consume() -> Any:
            queue = await channel.declare_queue("brokers", auto_delete=True)
            await queue.consume(handle, no_ack=True)

        async def publish() -> Any:
            await channel.default_exchange.publish(aio_pika.Message(b""), "brokers")
            async with asyncio.timeout(DEADLINE):
                return await found.get()

        connection, channel = await in_a_task(storage, "opener", open_channel)
        async with connection:
            await in_a_task(storage, "consumer", consume)
            assert [await publish() for _ in range(2)] == [expected] * 2
            if is_robust:
                restored = asyncio.Event()
                connection.reconnect_callbacks.add(lambda *_: restored.set())
                wire.cut()
                await restored.wait()
                await channel.ready()
                assert await publish() == expected

    async def behind_a_wire() -> None:
        async with wired(rabbitmq) as (url, wire):
            await main(url, wire)

    asyncio.run(behind_a_wire())

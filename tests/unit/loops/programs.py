"""A small program for every kind of resource, the same on every loop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asynchooks import AsyncResource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ("PROGRAMS", "tls_contexts")


def tls_contexts() -> list[ssl.SSLContext]:
    """Of a server and of a client, for TLS without certificates."""
    contexts = []
    for protocol in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
        context = ssl.SSLContext(protocol)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AECDH-AES128-SHA:@SECLEVEL=0")
        contexts.append(context)
    return contexts


async def turn() -> None:
    """Once around the loop, and what that has made due."""
    for _ in range(3):
        await asyncio.sleep(0)


async def task() -> None:
    await asyncio.create_task(asyncio.sleep(0))


async def future() -> None:
    waiting = asyncio.get_running_loop().create_future()
    waiting.set_result(None)
    await waiting


async def handle() -> None:
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    await done.wait()


async def timer() -> None:
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0, done.set)
    await done.wait()


async def reader() -> None:
    loop = asyncio.get_running_loop()
    seen = asyncio.Event()
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)

        def read() -> None:
            one.recv(1)
            seen.set()

        loop.add_reader(one, read)
        for _ in range(2):
            other.send(b"x")
            await seen.wait()
            seen.clear()
        loop.remove_reader(one)


async def writer() -> None:
    loop = asyncio.get_running_loop()
    seen = asyncio.Event()
    one, other = socket.socketpair()
    with one, other:
        loop.add_writer(one, seen.set)
        await seen.wait()
        loop.remove_writer(one)


async def sock_recv() -> None:
    loop = asyncio.get_running_loop()
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        loop.call_soon(other.send, b"x")
        await loop.sock_recv(one, 1)


async def signal_handler() -> None:
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, came.set)
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGUSR1)
        await came.wait()
        came.clear()
    loop.remove_signal_handler(signal.SIGUSR1)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for _ in range(2):
        writer.write(b"hello")
        await reader.readexactly(5)
    writer.close()
    await writer.wait_closed()
    await turn()


async def tcp() -> None:
    async with await asyncio.start_server(_echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await _talk(*await asyncio.open_connection("127.0.0.1", port))


async def tls() -> None:
    serving, asking = tls_contexts()
    async with await asyncio.start_server(_echo, "127.0.0.1", 0, ssl=serving) as server:
        port = server.sockets[0].getsockname()[1]
        await _talk(*await asyncio.open_connection("127.0.0.1", port, ssl=asking))


async def unix() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "socket")
        async with await asyncio.start_unix_server(_echo, path):
            await _talk(*await asyncio.open_unix_connection(path))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.came = asyncio.Event()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.came.set()


async def udp() -> None:
    loop = asyncio.get_running_loop()
    address: Any = ("127.0.0.1", 0)
    receiving, protocol = await loop.create_datagram_endpoint(_Datagrams, local_addr=address)
    address = receiving.get_extra_info("sockname")
    sending, _ = await loop.create_datagram_endpoint(_Datagrams, remote_addr=address)
    sending.sendto(b"hello")
    await protocol.came.wait()
    for transport in (sending, receiving):
        transport.close()
    await turn()


class _Stream(asyncio.Protocol):
    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.came.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def pipes() -> None:
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    _, reader = await loop.connect_read_pipe(_Stream, os.fdopen(reading, "rb", 0))
    sink, writer = await loop.connect_write_pipe(_Stream, os.fdopen(writing, "wb", 0))
    sink.write(b"hello")
    await reader.came.wait()
    sink.close()
    await reader.lost.wait()
    await writer.lost.wait()
    await turn()


async def subprocess() -> None:
    process = await asyncio.create_subprocess_exec(
        *("/bin/cat",), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    await process.communicate(b"hello")
    await turn()


async def getaddrinfo() -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


async def getnameinfo() -> None:
    await asyncio.get_running_loop().getnameinfo(("127.0.0.1", 80))


async def thread_job() -> None:
    await asyncio.to_thread(len, "")


async def process_job() -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        await asyncio.get_running_loop().run_in_executor(pool, len, "")


async def thread() -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    running = threading.Thread(target=lambda: loop.call_soon_threadsafe(done.set))
    running.start()
    await done.wait()
    running.join()


async def async_generator() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0)
        yield 2

    async for _ in numbers():
        pass


async def resource() -> None:
    mine = AsyncResource("Mine")
    mine.run_in_async_scope(len, "")


# By what the table in docs/loops.md calls it.
PROGRAMS: dict[str, Callable[[], Awaitable[None]]] = {
    "task": task,
    "future": future,
    "`call_soon`": handle,
    "`call_later`, `call_at`": timer,
    "`add_reader`": reader,
    "`add_writer`": writer,
    "`sock_recv` and the like": sock_recv,
    "`add_signal_handler`": signal_handler,
    "TCP": tcp,
    "TLS": tls,
    "Unix socket": unix,
    "UDP": udp,
    "pipe": pipes,
    "subprocess": subprocess,
    "`getaddrinfo`": getaddrinfo,
    "`getnameinfo`": getnameinfo,
    "`to_thread`, `run_in_executor`": thread_job,
    "`ProcessPoolExecutor`": process_job,
    "`threading.Thread`": thread,
    "async generator": async_generator,
    "`AsyncResource`": resource,
}

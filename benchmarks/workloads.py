"""What is measured: the operations that asyncio programs are made of. Nothing of asynchooks."""

from __future__ import annotations

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ("WORKLOADS",)

ECHO_SIZE = 64  # bytes


async def sleep_zero(times: int) -> None:
    """A task that steps aside and comes back."""
    for _ in range(times):
        await asyncio.sleep(0)


async def _leaf() -> None:
    pass


async def create_task(times: int) -> None:
    """A task for each piece of work, awaited."""
    for _ in range(times):
        await asyncio.create_task(_leaf())


async def gather_100(times: int) -> None:
    """Fan-out to 100 tasks and back; one operation is one of the 100."""
    for _ in range(times // 100):
        await asyncio.gather(*[_leaf() for _ in range(100)])


async def future_by_call_soon(times: int) -> None:
    """A future that a callback settles, as protocols do."""
    loop = asyncio.get_running_loop()
    for _ in range(times):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future


async def queue_ping_pong(times: int) -> None:
    """Two tasks that hand each other an item; one operation is there and back."""
    there: asyncio.Queue[int] = asyncio.Queue()
    back: asyncio.Queue[int] = asyncio.Queue()

    async def answer() -> None:
        for _ in range(times):
            await back.put(await there.get())

    answering = asyncio.create_task(answer())
    for number in range(times):
        await there.put(number)
        await back.get()
    await answering


async def call_later(times: int) -> None:
    """A timer that is set and cancelled, as every timeout is."""
    loop = asyncio.get_running_loop()
    for number in range(times):
        loop.call_later(1000, _nothing).cancel()
        if number % 64 == 0:
            await asyncio.sleep(0)


def _nothing() -> None:
    pass


async def task_group_1000(times: int) -> None:
    """As `gather of 100`, in a TaskGroup of 1,000."""
    for _ in range(times // 1000):
        async with asyncio.TaskGroup() as group:
            for _ in range(1000):
                group.create_task(_leaf())


async def to_thread(times: int) -> None:
    """A function in the loop's thread pool; both threads are counted."""
    for _ in range(times):
        await asyncio.to_thread(_nothing)


async def submit_and_result(times: int) -> None:
    """A job of a thread pool, submitted and waited for by a thread; both threads are counted."""
    with ThreadPoolExecutor(1) as pool:
        for _ in range(times):
            pool.submit(_nothing).result()


async def tcp_echo(times: int) -> None:
    """A message to a server on loopback and back, through streams; both sides are counted."""
    await _echo(times, None, None)


async def tls_echo(times: int) -> None:
    """The same, encrypted."""
    contexts = []
    for protocol in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
        context = ssl.SSLContext(protocol)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        # Without a certificate, which is no part of what is measured.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AECDH-AES128-SHA:@SECLEVEL=0")
        contexts.append(context)
    await _echo(times, *contexts)


async def _echo(
    times: int, server_tls: ssl.SSLContext | None, client_tls: ssl.SSLContext | None
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(ECHO_SIZE):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_tls)
        message = b"x" * ECHO_SIZE
        for _ in range(times):
            writer.write(message)
            await reader.readexactly(ECHO_SIZE)
        writer.close()
        await writer.wait_closed()


async def asgi_request(times: int) -> None:
    """A request to an ASGI application under uvicorn and its answer; both sides are counted."""
    import uvicorn

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    # With the protocol said, or asyncio leaves Nagle's algorithm on, and each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    config = uvicorn.Config(app, lifespan="off", log_level="critical", access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(times):
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\nok")
    writer.close()
    server.should_exit = True
    await serving


# By name: the workload, and how many operations make about a tenth of a second.
WORKLOADS: dict[str, tuple[Callable[[int], Awaitable[None]], int]] = {
    "await sleep(0)": (sleep_zero, 100_000),
    "await create_task(leaf())": (create_task, 25_000),
    "gather of 100": (gather_100, 25_000),
    "future set by call_soon": (future_by_call_soon, 50_000),
    "queue ping-pong": (queue_ping_pong, 15_000),
    "TaskGroup of 1,000": (task_group_1000, 25_000),
    "call_later and cancel": (call_later, 60_000),
    "to_thread": (to_thread, 2_500),
    "submit().result()": (submit_and_result, 5_000),
    "TCP echo": (tcp_echo, 2_500),
    "TLS echo": (tls_echo, 1_500),
    "ASGI request": (asgi_request, 1_000),
}

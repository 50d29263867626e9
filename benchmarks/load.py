"""Load for one HTTP server: some kept connections, each of which asks again as soon as it has its
answer."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, NamedTuple

import uvloop

if TYPE_CHECKING:
    from typing import Any

__all__ = ("Load", "drive")

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Load(NamedTuple):
    """What came of it.

    Attributes:
        slow: how long one answer in a hundred takes at least, in seconds.
    """

    answers: int
    failures: int
    seconds: float
    slow: float


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes) -> None:
        self._request = request
        self._asked_at = 0.0
        self.latencies: list[float] = []
        self._received = b""
        self.answers = self.failures = 0
        self.is_asking = True
        self.is_idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._asked_at = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if separator else None
        if length is None or len(body) < int(length[1]):
            return
        self._received = b""
        self.answers += 1
        self.latencies.append(time.perf_counter() - self._asked_at)
        self.failures += not head.startswith(b"HTTP/1.1 200")
        if self.is_asking:
            self._ask()
        else:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_asking:
            self.failures += 1
        self._end()

    def _end(self) -> None:
        self._transport.close()
        if not self.is_idle.done():
            self.is_idle.set_result(None)


def drive(port: int, path: str, *, seconds: float, connections: int = 16) -> Load:
    """Ask for `path` for so long, and wait for the last answers."""
    return uvloop.run(_drive(port, path, seconds, connections))


async def _drive(port: int, path: str, seconds: float, connections: int) -> Load:
    loop = asyncio.get_running_loop()
    request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode()
    began = loop.time()
    opened = [
        (await loop.create_connection(lambda: _Connection(request), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    for connection in opened:
        connection.is_asking = False
    await asyncio.wait([connection.is_idle for connection in opened], timeout=10)
    latencies = sorted(latency for connection in opened for latency in connection.latencies)
    return Load(
        sum(connection.answers for connection in opened),
        sum(connection.failures for connection in opened),
        loop.time() - began,
        latencies[len(latencies) * 99 // 100] if latencies else 0.0,
    )

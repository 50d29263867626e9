"""ASGI servers: the rows f12 and f13."""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from tests.boundaries.frameworks.conftest import answers, free_port
from uvicorn.config import HTTP_PROTOCOLS

if TYPE_CHECKING:
    from tests.boundaries.frameworks.conftest import Starter

pytestmark = pytest.mark.slow

APPLICATION = """
import contextlib
import asynchooks

asynchooks.enable()

started = asynchooks.AsyncLocalStorage(name="started")
storage = asynchooks.AsyncLocalStorage(name="row")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        started.enter_with("lifespan")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    found = [started.get_store(), storage.get_store()]
    storage.enter_with(scope["path"])
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message["body"])
        more = message.get("more_body", False)
    body = __import__("json").dumps([*found, size]).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
"""

WEBSOCKETS = """
import asynchooks

asynchooks.enable()
started = asynchooks.AsyncLocalStorage(name="started")
storage = asynchooks.AsyncLocalStorage(name="row")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        started.enter_with("lifespan")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
    else:
        found = f"{started.get_store()},{storage.get_store()}"
        storage.enter_with("residue")
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": found})
        await receive()
"""

SERVERS = {
    "uvicorn-h11": ("uvicorn", "app:app", "--http", "h11", "--loop", "asyncio"),
    "uvicorn-httptools": ("uvicorn", "app:app", "--http", "httptools", "--loop", "asyncio"),
    "uvicorn-uvloop": ("uvicorn", "app:app", "--http", "httptools", "--loop", "uvloop"),
    "hypercorn": ("hypercorn", "app:app", "--bind"),
}
if "zttp" in HTTP_PROTOCOLS:
    SERVERS["uvicorn-zttp"] = ("uvicorn", "app:app", "--http", "zttp", "--loop", "asyncio")


@pytest.mark.parametrize("server", SERVERS)
def test_f12_f13_each_request_starts_as_the_lifespan_left_it(start: Starter, server: str) -> None:
    """On one connection, after an upload for which reading was paused."""
    port = free_port()
    (start.folder / "app.py").write_text(APPLICATION)
    command = SERVERS[server]
    address = (f"127.0.0.1:{port}",) if server == "hypercorn" else ("--port", str(port))
    process = start.process(*command, *address)
    process.wait_until(lambda: answers(f"http://127.0.0.1:{port}/first"), "the server answers")

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    seen: list[Any] = []
    for method, size in (("POST", 300_000), ("GET", 0), ("POST", 300_000), ("GET", 0)):
        connection.request(method, f"/{len(seen)}", b"x" * size)
        seen.append(json.loads(connection.getresponse().read()))
    connection.close()

    assert seen == [["lifespan", None, size] for size in (300_000, 0, 300_000, 0)]


def test_f13_websockets_of_uvicorn(start: Starter) -> None:
    port = free_port()
    (start.folder / "app.py").write_text(WEBSOCKETS)
    process = start.process("uvicorn", "app:app", "--ws", "wsproto", "--port", str(port))
    process.wait_until(lambda: answers(f"http://127.0.0.1:{port}/"), "the server answers")

    async def ask() -> str:
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(f"http://127.0.0.1:{port}/") as socket,
        ):
            return await socket.receive_str(timeout=30)

    assert [asyncio.run(ask()) for _ in range(2)] == ["lifespan,None"] * 2


def test_f13_without_a_lifespan_requests_start_where_the_server_was_started(start: Starter) -> None:
    port = free_port()
    (start.folder / "app.py").write_text(APPLICATION)
    (start.folder / "serve.py").write_text(
        "import app, uvicorn\n"
        "app.started.enter_with('main')\n"
        f"uvicorn.run(app.app, port={port}, lifespan='off', http='h11', loop='asyncio')\n"
    )
    process = start.process(sys.executable, "serve.py")
    process.wait_until(lambda: answers(f"http://127.0.0.1:{port}/first"), "the server answers")

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for size in (300_000, 0):
        connection.request("POST" if size else "GET", "/", b"x" * size)
        assert json.loads(connection.getresponse().read()) == ["main", None, size]
    connection.close()

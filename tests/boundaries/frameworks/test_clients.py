"""HTTP servers of one process and clients with pools: the rows f14, f15, f36 to f38, f42, f43 and
f49. What a pool holds of a request that is over is seen by a weak reference to its store.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession, ClientTimeout, web

import asynchooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.boundaries.conftest import Run

    Storage = asynchooks.AsyncLocalStorage[Any]


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """An aiohttp application on a port of its own; its URL."""
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def application(storage: Storage) -> web.Application:
    """Each answer is what was in force; large bodies make the server pause its reading."""
    started: Storage = asynchooks.AsyncLocalStorage(name="started")

    async def handle(request: web.Request) -> web.Response:
        found = f"{started.get_store()},{storage.get_store()}"
        storage.enter_with("residue")
        await request.read()
        return web.Response(text=found)

    async def start(app: web.Application) -> None:
        started.enter_with("started")

    app = web.Application(client_max_size=1 << 20)
    app.add_routes([web.route("*", "/", handle)])
    app.on_startup.append(start)
    return app


def test_f14_aiohttp_server(engine_on_or_off: None, storage: Storage, run: Run) -> None:
    async def main() -> list[str]:
        async with serving(application(storage)) as url, ClientSession() as client:
            return [
                await (await client.post(url, data=b"x" * size)).text()
                for size in (300_000, 0, 300_000, 0)
            ]

    assert run(main()) == ["started,None"] * 4


def test_f15_tornado_server(engine_on_or_off: None, storage: Storage) -> None:
    import tornado.httpserver
    import tornado.netutil
    import tornado.web

    class Handler(tornado.web.RequestHandler):
        async def post(self) -> None:
            found = storage.get_store()
            storage.enter_with("residue")
            await asyncio.sleep(0)
            self.write(str(found))

    async def main() -> list[str]:
        server = tornado.httpserver.HTTPServer(tornado.web.Application([("/", Handler)]))
        (socket,) = tornado.netutil.bind_sockets(0, "127.0.0.1")
        server.add_socket(socket)
        url = f"http://127.0.0.1:{socket.getsockname()[1]}/"
        async with ClientSession() as client:
            seen = [
                await (await client.post(url, data=b"x" * size)).text()
                for size in (300_000, 0, 300_000, 0)
            ]
        server.stop()
        await server.close_all_connections()
        return seen

    assert asyncio.run(main()) == ["None"] * 4


class Store:
    """What a request has, and nobody keeps."""


async def is_let_go(storage: Storage, request: Callable[[], Awaitable[object]]) -> bool:
    """Whether the store of a request is gone when the request is over."""
    store = Store()
    gone = weakref.ref(store)

    async def with_store() -> None:
        await request()

    task = storage.run(store, asyncio.create_task, with_store())
    del store
    await task
    del task
    for _ in range(5):  # what the loop has still to call
        await asyncio.sleep(0)
    gc.collect()
    return gone() is None


def test_f36_aiohttp_client(engine: None, storage: Storage, run: Run) -> None:
    async def main() -> None:
        async with (
            serving(application(storage)) as url,
            ClientSession(timeout=ClientTimeout(total=600, sock_read=600)) as client,
        ):

            async def request() -> None:
                async with client.post(url, data=b"x" * 100_000) as answer:
                    await answer.read()

            assert await is_let_go(storage, request)
            assert await is_let_go(storage, request)
            assert client.connector is not None
            assert len(client.connector._conns) == 1  # which is kept for the next

    run(main())


def test_f37_httpx_client(engine: None, storage: Storage, run: Run) -> None:
    import httpx

    async def main() -> None:
        async with serving(application(storage)) as url, httpx.AsyncClient() as client:

            async def request() -> None:
                (await client.post(url, content=b"x" * 100_000)).raise_for_status()

            assert await is_let_go(storage, request)
            assert await is_let_go(storage, request)

    run(main())


@pytest.mark.slow
def test_f38_redis(engine: None, storage: Storage, run: Run, redis_url: str) -> None:
    import redis.asyncio

    async def main() -> None:
        async with redis.asyncio.Redis.from_url(redis_url) as client:

            async def request() -> None:
                await client.set("key", b"x" * 100_000)
                assert await client.get("key") == b"x" * 100_000

            assert await is_let_go(storage, request)
            assert await is_let_go(storage, request)

    run(main())


GRPC = """
import os, sys
os.environ["GRPC_VERBOSITY"] = "NONE"
import grpc
import asynchooks

if sys.argv[1] == "on":
    asynchooks.enable()
storage = asynchooks.AsyncLocalStorage(name="row")

def handle(request, context):
    found = storage.get_store()
    storage.enter_with("residue")
    return str(found).encode()

HANDLER = grpc.unary_unary_rpc_method_handler(handle)

class Calls(grpc.GenericRpcHandler):
    def service(self, details):
        return HANDLER
"""

GRPC_SYNC = """
from concurrent.futures import ThreadPoolExecutor

class Interceptor(grpc.ServerInterceptor):
    def intercept_service(self, continuation, details):
        storage.enter_with(details.method)
        return continuation(details)

server = grpc.server(ThreadPoolExecutor(1), handlers=[Calls()], interceptors=[Interceptor()])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    print(*(channel.unary_unary(name)(b"").decode() for name in ("/a", "/b")))
server.stop(None).wait()
"""

GRPC_ASYNC = """
import asyncio
import grpc.aio

class Interceptor(grpc.aio.ServerInterceptor):
    async def intercept_service(self, continuation, details):
        storage.enter_with(details.method)
        return await continuation(details)

async def main():
    server = grpc.aio.server(interceptors=[Interceptor()])
    server.add_generic_rpc_handlers([Calls()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        print(*[(await channel.unary_unary(name)(b"")).decode() for name in ("/a", "/b")])
    await server.stop(None)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["off", "on"])
def test_f42_grpc(run_script: Callable[..., str], engine: str) -> None:
    assert run_script(GRPC + GRPC_SYNC, engine) == "/a /b\n"


@pytest.mark.slow
def test_f43_grpc_on_asyncio(run_script: Callable[..., str]) -> None:
    """A function that an asyncio server calls in a thread."""
    assert run_script(GRPC + GRPC_ASYNC, "on") == "/a /b\n"


@pytest.mark.tool("exit")
@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated")
def test_f49_starlette_test_client(engine: None, storage: Storage) -> None:
    """What a test sets reaches the application, and fixtures are made of that. Where it must not,
    the client is called outside of it."""
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route
    from starlette.testclient import TestClient

    async def endpoint(request: object) -> Response:
        return PlainTextResponse(str(storage.get_store()))

    client = TestClient(Starlette(routes=[Route("/", endpoint)]))
    with storage.use("the test's"):
        assert client.get("/").text == "the test's"
        assert storage.exit(client.get, "/").text == "None"

"""Frameworks behind real servers: their routes, their failures, and the servers that are part of
one (aiohttp, Tornado, Sanic). Starlette and FastAPI are in test_asgi.py."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp.web
import django  # type: ignore[import-untyped]
import django.conf  # type: ignore[import-untyped]
import django.core.asgi  # type: ignore[import-untyped]
import django.core.wsgi  # type: ignore[import-untyped]
import django.http  # type: ignore[import-untyped]
import django.urls  # type: ignore[import-untyped]
import flask
import httpx
import litestar
import litestar.routes
import pytest
import sanic
import sanic.response
import tornado.httpserver
import tornado.netutil
import tornado.routing
import tornado.web
import uvicorn
from litestar import Request as LitestarRequest
from tests.libraries.conftest import server_spans
from tests.libraries.test_wsgi import get as get_once
from tests.libraries.test_wsgi import serve as serve_wsgi

from asynchooks.tracing import StatusCode, current_request, start_span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.libraries.conftest import Trace

    Serve = Callable[[], Any]

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def work(number: object) -> str:
    """What every handler does: the id of its request, told by a span and in the answer."""
    request = current_request()
    assert request is not None
    start_span(f"work {number}").end()
    return request.id


# aiohttp


async def aiohttp_order(request: aiohttp.web.Request) -> aiohttp.web.Response:
    await request.read()
    return aiohttp.web.Response(text=work(request.match_info["number"]))


async def aiohttp_fail(request: aiohttp.web.Request) -> aiohttp.web.Response:
    raise LookupError("no such lamp")


async def aiohttp_stream(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
    response = aiohttp.web.StreamResponse()
    await response.prepare(request)
    for _ in range(3):
        await response.write(b"part")
        work("stream")
    return response


@asynccontextmanager
async def serve_aiohttp() -> AsyncIterator[str]:
    orders = aiohttp.web.Application()
    orders.router.add_get("/{number}", aiohttp_order)
    orders.router.add_post("/{number}", aiohttp_order)
    app = aiohttp.web.Application()
    app.add_subapp("/orders", orders)
    app.router.add_get("/fail", aiohttp_fail)
    app.router.add_get("/stream", aiohttp_stream)
    runner = aiohttp.web.AppRunner(app, access_log=None)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# Tornado


class TornadoOrder(tornado.web.RequestHandler):
    async def get(self, number: str) -> None:
        await asyncio.sleep(0)
        self.write(work(number))


class TornadoFail(tornado.web.RequestHandler):
    def get(self) -> None:
        raise LookupError("no such lamp")


class TornadoStream(tornado.web.RequestHandler):
    async def get(self) -> None:
        for _ in range(3):
            self.write(b"part")
            await self.flush()
            work("stream")


@asynccontextmanager
async def serve_tornado() -> AsyncIterator[str]:
    handlers: list[Any] = [
        (r"/orders/([0-9]+)", TornadoOrder),
        (r"/fail", TornadoFail),
        (r"/stream", TornadoStream),
    ]
    server = tornado.httpserver.HTTPServer(tornado.web.Application(handlers))
    (listener,) = tornado.netutil.bind_sockets(0, "127.0.0.1")
    server.add_socket(listener)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.stop()
        await server.close_all_connections()


# Sanic


async def sanic_order(request: sanic.Request, number: int) -> sanic.HTTPResponse:
    await asyncio.sleep(0)
    return sanic.response.text(work(number))


async def sanic_fail(request: sanic.Request) -> sanic.HTTPResponse:
    raise LookupError("no such lamp")


async def sanic_stream(request: sanic.Request) -> None:
    response = await request.respond()
    for _ in range(3):
        await response.send(b"part")
        work("stream")
    await response.eof()


@asynccontextmanager
async def serve_sanic() -> AsyncIterator[str]:
    sanic.Sanic.test_mode = True
    app: Any = sanic.Sanic("shop", configure_logging=False)
    app.add_route(sanic_order, "/orders/<number:int>")
    app.add_route(sanic_fail, "/fail")
    app.add_route(sanic_stream, "/stream")
    listener = socket.create_server(("127.0.0.1", 0))
    server = await app.create_server(sock=listener, access_log=False, return_asyncio_server=True)
    await server.startup()
    await server.start_serving()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await server.close()
        for connection in list(server.connections):
            connection.close()
        sanic.Sanic.unregister_app(app)


# Litestar and Django, by uvicorn


@asynccontextmanager
async def serve_asgi(app: Any) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        yield url
    finally:
        server.should_exit = True
        await serving


@litestar.get("/orders/{number:int}", sync_to_thread=False)
def litestar_order(request: LitestarRequest[Any, Any, Any]) -> str:
    return work(request.path_params["number"])


@litestar.get("/fail")
async def litestar_fail() -> str:
    raise LookupError("no such lamp")


@litestar.get("/stream")
async def litestar_stream() -> litestar.response.Stream:
    async def parts() -> AsyncIterator[str]:
        for _ in range(3):
            work("stream")
            yield "part"

    return litestar.response.Stream(parts())


def serve_litestar() -> Any:
    return serve_asgi(
        litestar.Litestar([litestar_order, litestar_fail, litestar_stream], logging_config=None)
    )


def django_order(request: django.http.HttpRequest, number: int) -> django.http.HttpResponse:
    return django.http.HttpResponse(work(number))


def django_fail(request: django.http.HttpRequest) -> django.http.HttpResponse:
    raise LookupError("no such lamp")


def django_stream(request: django.http.HttpRequest) -> django.http.StreamingHttpResponse:
    def parts() -> Iterator[str]:
        for _ in range(3):
            work("stream")
            yield "part"

    async def parts_async() -> AsyncIterator[str]:
        for part in parts():
            yield part

    # What each release wants to have under ASGI.
    return django.http.StreamingHttpResponse(parts_async() if django.VERSION >= (4, 2) else parts())


urlpatterns = [
    django.urls.path("orders/<int:number>", django_order),
    django.urls.path("fail", django_fail),
    django.urls.path("stream", django_stream),
]


def configure_django() -> None:
    if not django.conf.settings.configured:
        django.conf.settings.configure(
            ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="-", LOGGING_CONFIG=None
        )
        django.setup()


def serve_django() -> Any:
    configure_django()
    return serve_asgi(django.core.asgi.get_asgi_application())


every = pytest.mark.parametrize(
    "serve", [serve_aiohttp, serve_tornado, serve_sanic, serve_litestar, serve_django]
)
SERVERS = (serve_aiohttp, serve_tornado, serve_sanic)
ROUTES = {
    serve_aiohttp: "/orders/{number}",
    serve_tornado: "/orders/([0-9]+)",
    serve_sanic: "/orders/<number:int>",
    serve_litestar: "/orders/{number}",
    serve_django: "/orders/<int:number>",
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What the frameworks log about the failures is theirs."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def visit(serve: Serve, *paths: str, **options: Any) -> list[httpx.Response]:
    """The answers to GET requests, one after the other."""

    async def main() -> list[httpx.Response]:
        async with serve() as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
            return [await client.get(path, **options) for path in paths]

    return asyncio.run(main())


@every
def test_a_request_is_a_server_span_with_its_route(trace: Trace, serve: Serve) -> None:
    headers = {"user-agent": "test", "x-request-id": "abc-1", "traceparent": TRACEPARENT}
    (answer,) = visit(serve, "/orders/7?token=abc&q=1", headers=headers)
    assert answer.text == "abc-1"
    assert answer.headers["x-request-id"] == "abc-1"
    (span,) = server_spans(trace)
    assert span.name == f"GET {ROUTES[serve]}"
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.parent is not None
    attributes = dict(span.attributes)
    assert attributes.pop("server.port")
    assert attributes == {
        "asynchooks.request_id": "abc-1",
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.response.body.size": 5,
        "asynchooks.response.chunks": 1,
        "http.route": ROUTES[serve],
        "url.path": "/orders/7",
        "url.query": "token=REDACTED&q=1",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "client.address": "127.0.0.1",
        "user_agent.original": "test",
    }
    assert trace.named("work 7").parent == span.context


@every
def test_a_request_that_fails(trace: Trace, serve: Serve) -> None:
    (answer,) = visit(serve, "/fail")
    assert answer.status_code == 500
    (span,) = server_spans(trace)
    assert span.attributes["http.response.status_code"] == 500
    assert span.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "LookupError"
    (event,) = span.events
    assert event.attributes["exception.message"] == "no such lamp"
    assert answer.headers["x-request-id"] == span.attributes["asynchooks.request_id"]


@every
def test_what_is_not_there_is_no_failure(trace: Trace, serve: Serve) -> None:
    (answer,) = visit(serve, "/nowhere")
    assert answer.status_code == 404
    (span,) = server_spans(trace)
    assert span.name == "GET"
    assert span.attributes["http.response.status_code"] == 404
    assert span.status_code is StatusCode.UNSET
    assert span.events == []


@every
def test_a_streamed_answer_is_inside(trace: Trace, serve: Serve) -> None:
    (answer,) = visit(serve, "/stream")
    assert answer.text == "part" * 3
    (span,) = server_spans(trace)
    steps = [step for step in trace.spans if step.name == "work stream"]
    assert [step.request for step in steps] == [span.request] * 3
    assert span.end_time is not None
    assert all(step.start_time <= span.end_time for step in steps)


@every
def test_requests_at_once_are_apart(trace: Trace, serve: Serve) -> None:
    async def main() -> list[str]:
        limits = httpx.Limits(max_connections=50)
        async with serve() as url, httpx.AsyncClient(timeout=60, limits=limits) as client:
            answers = await asyncio.gather(
                *(client.get(f"{url}/orders/{number}") for number in range(50))
            )
            assert [answer.text for answer in answers] == [
                answer.headers["x-request-id"] for answer in answers
            ]
            return [answer.text for answer in answers]

    ids = asyncio.run(main())
    assert len(set(ids)) == 50
    for span in (span for span in trace.spans if span.name.startswith("work ")):
        assert span.request is not None
        assert span.request.path == f"/orders/{span.name.removeprefix('work ')}"
        assert span.request.id == ids[int(span.name.removeprefix("work "))]
    assert len({span.context.trace_id for span in server_spans(trace)}) == 50


@every
def test_a_get_after_a_large_post_on_one_connection_is_a_request_of_its_own(
    trace: Trace, serve: Serve
) -> None:
    """asyncio hands it the context of the POST (cpython#140947)."""

    async def main() -> None:
        async with serve() as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
            await client.post("/orders/1", content=b"x" * 300_000)
            await client.get("/orders/2")

    asyncio.run(main())
    post, read = server_spans(trace)
    assert post.attributes["http.request.method"] == "POST"
    assert read.parent is None
    assert read.context.trace_id != post.context.trace_id
    assert trace.named("work 2").request is read.request


# Under WSGI


def make_flask() -> flask.Flask:
    app = flask.Flask("shop")

    @app.get("/orders/<int:number>")
    def order(number: int) -> str:
        return work(number)

    @app.get("/fail")
    def fail() -> str:
        raise LookupError("no such lamp")

    return app


def make_django() -> Any:
    configure_django()
    return django.core.wsgi.get_wsgi_application()


@pytest.mark.parametrize("make", [make_flask, make_django])
def test_routes_and_failures_under_wsgi(trace: Trace, make: Callable[[], Any]) -> None:
    with serve_wsgi("wsgiref", make()) as port:
        served = get_once(port, "/orders/7")
        failed = get_once(port, "/fail")
        missing = get_once(port, "/nowhere")
    assert [answer.status for answer in (served, failed, missing)] == [200, 500, 404]
    assert served.body.decode() == served.headers["x-request-id"]
    first, second, third = server_spans(trace)
    assert first.name == "GET /orders/<int:number>"
    assert trace.named("work 7").parent == first.context
    assert second.name == "GET /fail"
    assert second.status_code is StatusCode.ERROR
    (event,) = second.events
    assert event.attributes["exception.message"] == "no such lamp"
    assert third.name == "GET"
    assert third.status_code is StatusCode.UNSET

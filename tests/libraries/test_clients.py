"""HTTP clients, against a real server: each request that leaves is a span, and carries the trace
on. (httpx has a file of its own.)"""

from __future__ import annotations

import asyncio
import http.client
import threading
import traceback
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import pytest
import requests
import requests.adapters
import urllib3
import urllib3.connectionpool

from asynchooks import libraries
from asynchooks.tracing import Span, SpanKind, StatusCode, extract_traceparent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.libraries.conftest import Trace

    Send = Callable[..., "Answer"]


class Answer(NamedTuple):
    status: int
    request_headers: dict[str, str]  # as the application sees them afterwards


class Handler(BaseHTTPRequestHandler):
    """`/moved` leads to `/new`, `/missing` is not there; what came is remembered."""

    protocol_version = "HTTP/1.1"
    server: Service

    def do_GET(self) -> None:
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        path = urlsplit(self.path).path
        if path == "/gone":
            self.close_connection = True
            return
        self.send_response({"/moved": 302, "/missing": 404}.get(path, 200))
        if path == "/moved":
            self.send_header("location", "/new")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name
        pass


class Service(ThreadingHTTPServer):
    """The other side."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def parents(self) -> list[int]:
        """The span that each request named as its parent."""
        contexts = [extract_traceparent(headers["traceparent"]) for headers in self.headers]
        return [context.span_id for context in contexts if context is not None]


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def send_aiohttp(url: str, headers: dict[str, str] | None = None) -> Answer:
    async def main() -> Answer:
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            await answer.read()
            return Answer(answer.status, dict(answer.request_info.headers))

    return asyncio.run(main())


def send_requests(url: str, headers: dict[str, str] | None = None) -> Answer:
    answer = requests.get(url, headers=headers, timeout=30)
    return Answer(answer.status_code, {k: str(v) for k, v in answer.request.headers.items()})


def send_urllib3(url: str, headers: dict[str, str] | None = None) -> Answer:
    given = dict(headers or {})
    with urllib3.PoolManager() as pool:
        answer = pool.request(
            "GET", url, headers=given, retries=urllib3.Retry(1, connect=0, read=0)
        )
    return Answer(answer.status, given)


def send_urllib(url: str, headers: dict[str, str] | None = None) -> Answer:
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
            return Answer(answer.status, dict(request.header_items()))
    except urllib.error.HTTPError as exc:
        with exc:
            return Answer(exc.code, dict(request.header_items()))


def send_http_client(url: str, headers: dict[str, str] | None = None) -> Answer:
    given = dict(headers or {})
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request("GET", url.removeprefix(f"http://{parts.netloc}"), headers=given)
        return Answer(connection.getresponse().status, given)
    finally:
        connection.close()


every = pytest.mark.parametrize(
    "send", [send_aiohttp, send_requests, send_urllib3, send_urllib, send_http_client]
)
following = pytest.mark.parametrize(
    "send", [send_aiohttp, send_requests, send_urllib3, send_urllib]
)


def calls(trace: Trace) -> list[Span]:
    return [span for span in trace.spans if span.kind is SpanKind.CLIENT]


@every
def test_a_call_is_one_span(trace: Trace, service: Service, send: Send) -> None:
    with trace.request("r7") as request:
        assert send(f"{service.url}/quotes?token=abc&q=1").status == 200
    (span,) = calls(trace)
    assert span.name == "GET"
    assert span.attributes == {
        "http.request.method": "GET",
        "url.full": f"{service.url}/quotes?token=REDACTED&q=1",
        "server.address": "127.0.0.1",
        "server.port": service.server_port,
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
    }
    assert span.request is request
    assert span.call_site is not None
    assert span.call_site[0].co_filename == __file__
    assert span.call_site[0].co_qualname.split(".")[0] == send.__name__


@every
def test_it_carries_the_trace_and_the_application_sees_none_of_it(
    trace: Trace, service: Service, send: Send
) -> None:
    with trace.request("r7"):
        answer = send(f"{service.url}/")
    assert service.parents() == [calls(trace)[0].context.span_id]
    assert service.headers[0]["x-request-id"] == "r7"
    seen = {name.lower() for name in answer.request_headers}
    assert seen.isdisjoint(("traceparent", "x-request-id"))


@following
def test_each_redirect_is_a_span_and_a_parent_of_its_own(
    trace: Trace, service: Service, send: Send
) -> None:
    with trace.request():
        assert send(f"{service.url}/moved").status == 200
    spans = calls(trace)
    assert [span.attributes["url.full"] for span in spans] == [
        f"{service.url}/moved",
        f"{service.url}/new",
    ]
    assert service.parents() == [span.context.span_id for span in spans]


@every
def test_headers_that_the_application_sets_win(trace: Trace, service: Service, send: Send) -> None:
    own = {"Traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "X-Request-ID": "own"}
    with trace.request():
        answer = send(f"{service.url}/", headers=own)
    assert {name: service.headers[0][name.lower()] for name in own} == own
    seen = {name.lower(): value for name, value in answer.request_headers.items()}
    assert seen["x-request-id"] == "own"


@every
def test_a_refusal_is_an_error_of_the_span_alone(
    trace: Trace, service: Service, send: Send
) -> None:
    with trace.request():
        assert send(f"{service.url}/missing").status == 404
    (span,) = calls(trace)
    assert span.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "404"


@every
@pytest.mark.parametrize("path", ["refused", "/gone"])
def test_a_failed_call_is_failed_and_its_exception_unchanged(
    trace: Trace, service: Service, send: Send, path: str
) -> None:
    # Nobody listens on port 1.
    url = "http://127.0.0.1:1/" if path == "refused" else f"{service.url}{path}"

    def attempt() -> tuple[type[BaseException], list[str]]:
        with trace.request(), pytest.raises(Exception) as caught:  # noqa: PT011 -- each its own
            send(url)
        return caught.type, [frame.name for frame in traceback.extract_tb(caught.tb)]

    failure = attempt()
    spans = calls(trace)
    # Recent releases of aiohttp ask a second time where a connection was closed.
    assert len(spans) == (1 if path == "refused" else len(service.headers))
    for span in spans:
        assert span.status_code is StatusCode.ERROR
        assert "exception.type" in span.events[-1].attributes
    libraries.uninstall()
    assert attempt() == failure


@every
def test_outside_of_a_request_nothing_is_added(trace: Trace, service: Service, send: Send) -> None:
    send(f"{service.url}/")
    assert "traceparent" not in service.headers[0]
    assert trace.spans == []


def test_many_at_once_from_many_requests(trace: Trace, service: Service) -> None:
    async def handler(session: aiohttp.ClientSession, number: int) -> None:
        with trace.request(f"r{number}"):
            for _ in range(2):
                async with session.get(f"{service.url}/{number}") as answer:
                    await answer.read()

    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(handler(session, number) for number in range(50)))

    asyncio.run(main())
    spans = calls(trace)
    assert len(spans) == 100
    for span in spans:
        assert span.request is not None
        assert span.attributes["url.full"] == f"{service.url}/{span.request.id[1:]}"
    assert sorted(service.parents()) == sorted(span.context.span_id for span in spans)


@pytest.mark.skipif(
    not hasattr(aiohttp, "ClientMiddlewareType"), reason="aiohttp has middlewares from 3.12 on"
)
def test_an_application_s_own_middlewares_of_aiohttp_are_outside(
    trace: Trace, service: Service
) -> None:
    seen: list[dict[str, str]] = []

    async def twice(request: Any, handler: Any) -> Any:
        seen.append(dict(request.headers))
        (await handler(request)).close()
        return await handler(request)

    async def main(**options: Any) -> None:
        async with (
            aiohttp.ClientSession(**options) as session,
            session.get(f"{service.url}/") as answer,
        ):
            await answer.read()

    with trace.request():
        asyncio.run(main(middlewares=(twice,)))
    assert len(calls(trace)) == 2
    assert "traceparent" not in seen[0]

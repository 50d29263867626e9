"""httpx: each request that leaves is a span, and carries the trace on; the application sees none
of it."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from asynchooks import libraries
from asynchooks.tracing import SpanContext, SpanKind, StatusCode, extract_traceparent, use_span
from asynchooks.tracing.span import Span

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.libraries.conftest import Trace

    Send = Callable[..., httpx.Response]


class Service:
    """The other side."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.headers.append(dict(request.headers))
        match request.url.path:
            case "/moved":
                return httpx.Response(302, headers={"location": "/new"})
            case "/missing":
                return httpx.Response(404)
            case "/broken":
                raise httpx.ConnectError("no route to host", request=request)
        return httpx.Response(200, json={"ok": True})

    def parents(self) -> list[int]:
        """The span that each request named as its parent."""
        contexts = [extract_traceparent(headers["traceparent"]) for headers in self.headers]
        return [context.span_id for context in contexts if context is not None]


@pytest.fixture
def service() -> Service:
    return Service()


def send_sync(service: Service, url: str, **options: Any) -> httpx.Response:
    with httpx.Client(transport=httpx.MockTransport(service), follow_redirects=True) as client:
        return client.get(url, **options)


def send_async(service: Service, url: str, **options: Any) -> httpx.Response:
    async def main() -> httpx.Response:
        transport = httpx.MockTransport(service)
        async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
            return await client.get(url, **options)

    return asyncio.run(main())


def only_call(trace: Trace) -> Span:
    """The one call that was recorded."""
    (span,) = (span for span in trace.spans if span.kind is SpanKind.CLIENT)
    return span


both = pytest.mark.parametrize("send", [send_sync, send_async])


@both
def test_a_call_is_a_span(trace: Trace, service: Service, send: Send) -> None:
    with trace.request("r7"):
        send(service, "http://ada:secret@rates:8001/quotes?token=abc&q=1")
    span = only_call(trace)
    assert span.kind is SpanKind.CLIENT
    assert span.attributes == {
        "http.request.method": "GET",
        "url.full": "http://rates:8001/quotes?token=REDACTED&q=1",
        "server.address": "rates",
        "server.port": 8001,
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
    }
    assert span.call_site is not None
    assert span.call_site[0].co_filename == __file__


@both
def test_it_carries_the_trace_and_the_request_id(
    trace: Trace, service: Service, send: Send
) -> None:
    with trace.request("r7") as request:
        answer = send(service, "http://rates/")
    assert service.parents() == [only_call(trace).context.span_id]
    assert request.trace_id in service.headers[0]["traceparent"]
    assert service.headers[0]["x-request-id"] == "r7"
    assert "traceparent" not in answer.request.headers
    assert "x-request-id" not in answer.request.headers


@both
def test_each_redirect_is_a_span_and_a_parent_of_its_own(
    trace: Trace, service: Service, send: Send
) -> None:
    with trace.request():
        answer = send(service, "http://rates/moved")
    assert answer.status_code == 200
    spans = [span for span in trace.spans if span.kind is SpanKind.CLIENT]
    assert [span.attributes["url.full"] for span in spans] == [
        "http://rates/moved",
        "http://rates/new",
    ]
    assert service.parents() == [span.context.span_id for span in spans]


@both
def test_headers_that_the_application_sets_win(trace: Trace, service: Service, send: Send) -> None:
    own = {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "x-request-id": "own"}
    with trace.request():
        answer = send(service, "http://rates/", headers=own)
    assert {name: service.headers[0][name] for name in own} == own
    assert answer.request.headers["x-request-id"] == "own"


def test_the_caller_s_tracestate_goes_on(trace: Trace, service: Service) -> None:
    parent = SpanContext(1, 2, 1, "vendor=1", is_remote=True)
    with use_span(Span("server", parent=parent)):
        send_sync(service, "http://rates/")
    assert service.headers[0]["tracestate"] == "vendor=1"
    assert "x-request-id" not in service.headers[0]


@both
def test_a_refusal_is_an_error_of_the_span_alone(
    trace: Trace, service: Service, send: Send
) -> None:
    with trace.request():
        assert send(service, "http://rates/missing").status_code == 404
    span = only_call(trace)
    assert span.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "404"


@both
def test_a_failed_call_is_failed_and_its_exception_unchanged(
    trace: Trace, service: Service, send: Send
) -> None:
    def fail() -> tuple[list[str], httpx.Request]:
        with trace.request(), pytest.raises(httpx.ConnectError, match="no route") as caught:
            send(service, "http://rates/broken")
        return [frame.name for frame in traceback.extract_tb(caught.tb)], caught.value.request

    frames, request = fail()
    span = only_call(trace)
    assert span.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "httpx.ConnectError"
    assert "traceparent" not in request.headers
    libraries.uninstall()
    assert fail()[0] == frames


@both
def test_outside_of_a_request_nothing_is_added(trace: Trace, service: Service, send: Send) -> None:
    send(service, "http://rates/")
    assert "traceparent" not in service.headers[0]
    assert trace.spans == []


def test_many_at_once_from_many_requests(trace: Trace, service: Service) -> None:
    async def handler(client: httpx.AsyncClient, number: int) -> None:
        with trace.request(f"r{number}"):
            await asyncio.gather(*(client.get(f"http://rates/{number}") for _ in range(3)))

    async def main() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(service)) as client:
            await asyncio.gather(*(handler(client, number) for number in range(30)))

    asyncio.run(main())
    calls = [span for span in trace.spans if span.kind is SpanKind.CLIENT]
    assert len(calls) == 90
    for span in calls:
        assert span.request is not None
        assert span.attributes["url.full"] == f"http://rates/{span.request.id[1:]}"
    sent = {headers["x-request-id"] for headers in service.headers}
    assert sent == {f"r{number}" for number in range(30)}
    assert sorted(service.parents()) == sorted(span.context.span_id for span in calls)


def test_all_is_as_before_after_uninstall(trace: Trace) -> None:
    libraries.uninstall()
    owners = (httpx.Client, httpx.AsyncClient)
    before = [dict(vars(owner)) for owner in owners]
    libraries.install()
    assert [dict(vars(owner)) for owner in owners] != before
    libraries.uninstall()
    assert [dict(vars(owner)) for owner in owners] == before

"""What is recorded of HTTP and databases: by OpenTelemetry's stable conventions, without secrets,
and nothing at all of a request that is not sampled."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from asynchooks import tracing
from asynchooks.libraries import database, incoming
from asynchooks.libraries.asgi import TracedApplication
from asynchooks.libraries.wsgi import TracedWSGIApplication
from asynchooks.tracing import (
    DEFAULT_SAMPLER,
    Span,
    always_off,
    current_baggage,
    set_propagators,
    set_sampler,
    use_baggage,
)
from asynchooks.tracing.propagation import DEFAULT_PROPAGATORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.libraries.conftest import Trace

# Of https://opentelemetry.io/docs/specs/semconv/: stable ones that are asked for, and ours.
HTTP_SERVER = {
    "http.request.method",
    "url.path",
    "url.scheme",
    "url.query",
    "http.response.status_code",
    "network.protocol.version",
    "server.address",
    "server.port",
    "client.address",
    "user_agent.original",
    "asynchooks.request_id",
}
HTTP_CLIENT = {
    "http.request.method",
    "url.full",
    "server.address",
    "server.port",
    "http.response.status_code",
    "network.protocol.version",
}
DATABASE = {"db.system.name", "db.query.text", "db.query.summary", "db.operation.name"}
SECRETS = {
    "authorization": "Bearer s3cr3t",
    "cookie": "session=s3cr3t",
    "proxy-authorization": "Basic s3cr3t",
    "x-api-key": "s3cr3t",
}


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    yield
    set_sampler(DEFAULT_SAMPLER)
    set_propagators(DEFAULT_PROPAGATORS)


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Headers are asked for, secret ones among them."""
    from asynchooks.libraries import http

    wanted = frozenset(("x-tenant", "set-cookie", *SECRETS))
    with monkeypatch.context() as patch:
        for module in (http, incoming):
            patch.setattr(module, "captured_headers", lambda kind: wanted)
        incoming.install()
        yield
    incoming.install()


class Application:
    """Answers each request, and remembers what it had in its context and what it sent on."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.baggage: dict[str, Any] = {}
        self.sent: dict[str, str] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.baggage = dict(current_baggage())
        connection = sqlite3.connect(":memory:")
        connection.execute("SELECT 's3cr3t' AS word")
        connection.close()

        def answer(request: httpx.Request) -> httpx.Response:
            self.sent = dict(request.headers)
            return httpx.Response(200, headers={"x-tenant": "b", "set-cookie": "a=s3cr3t"})

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            await client.get(
                "https://rates/quotes?token=s3cr3t", headers={**SECRETS, "x-tenant": "a"}
            )
        headers = [(b"x-tenant", b"c"), (b"set-cookie", b"s3cr3t")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def visit(app: Application, method: str = "GET", **headers: str) -> None:
    scope = {
        "type": "http",
        "method": method,
        "path": "/orders/7",
        "query_string": b"token=s3cr3t&page=2",
        "scheme": "https",
        "http_version": "1.1",
        "server": ("shop", 443),
        "client": ("10.0.0.1", 55_555),
        "headers": [
            (name.replace("_", "-").encode(), value.encode())
            for name, value in {"user-agent": "test", **SECRETS, "x-tenant": "a", **headers}.items()
        ],
    }

    async def send(message: Any) -> None:
        pass

    asyncio.run(TracedApplication(app)(scope, None, send))


def of_kind(trace: Trace, kind: str) -> Span:
    (span,) = (
        span
        for span in trace.spans
        if span.kind.name == kind and "db.system.name" not in span.attributes
    )
    return span


def test_attributes_are_those_of_the_conventions(trace: Trace) -> None:
    visit(Application())
    server, client = of_kind(trace, "SERVER"), of_kind(trace, "CLIENT")
    assert set(server.attributes) == HTTP_SERVER
    assert set(client.attributes) == HTTP_CLIENT
    (query,) = trace.query_spans()
    assert set(query.attributes) == DATABASE
    assert server.attributes["url.scheme"] == "https"
    assert server.attributes["client.address"] == "10.0.0.1"
    assert (server.attributes["server.address"], server.attributes["server.port"]) == ("shop", 443)
    assert server.attributes["network.protocol.version"] == "1.1"
    assert client.attributes["server.port"] == 443
    assert client.name == "GET"


def test_by_default_no_secret_is_anywhere(trace: Trace) -> None:
    visit(Application())
    everything = str([(span.name, span.attributes, span.events) for span in trace.spans])
    assert "s3cr3t" not in everything
    assert "header" not in everything
    assert trace.queries() == ["SELECT ? AS word"]


def test_headers_are_recorded_by_name_and_credentials_never(trace: Trace, captured: None) -> None:
    visit(Application())
    server, client = of_kind(trace, "SERVER"), of_kind(trace, "CLIENT")
    recorded = {
        (span.kind.name, name): value
        for span in (server, client)
        for name, value in span.attributes.items()
        if ".header." in name
    }
    assert recorded == {
        ("SERVER", "http.request.header.x-tenant"): ("a",),
        ("SERVER", "http.response.header.x-tenant"): ("c",),
        ("CLIENT", "http.request.header.x-tenant"): ("a",),
        ("CLIENT", "http.response.header.x-tenant"): ("b",),
    }
    assert "s3cr3t" not in str([span.attributes for span in trace.spans])


def test_headers_are_recorded_of_a_wsgi_request_too(trace: Trace, captured: None) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-Tenant", "c"), ("Set-Cookie", "a=s3cr3t")])
        return []

    environ = {"HTTP_X_TENANT": "a", "HTTP_AUTHORIZATION": "s3cr3t", "REQUEST_METHOD": "GET"}
    TracedWSGIApplication(app)(environ, lambda *args: print)
    recorded = {
        name: value
        for name, value in of_kind(trace, "SERVER").attributes.items()
        if ".header." in name
    }
    assert recorded == {
        "http.request.header.x-tenant": ("a",),
        "http.response.header.x-tenant": ("c",),
    }


@pytest.mark.parametrize("method", ["PURGE", "get", "s3cr3t-of-high-cardinality"])
def test_a_method_that_http_does_not_know(trace: Trace, method: str) -> None:
    visit(Application(), method)
    span = of_kind(trace, "SERVER")
    assert span.name == "HTTP"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == method


@pytest.mark.parametrize(("status", "error"), [(200, None), (404, None), (503, "503")])
def test_a_server_fails_from_500_on(trace: Trace, status: int, error: str | None) -> None:
    visit(Application(status))
    span = of_kind(trace, "SERVER")
    assert span.attributes["http.response.status_code"] == status
    assert span.attributes.get("error.type") == error
    assert (span.status_code.name == "ERROR") is (error is not None)


def test_nothing_is_computed_for_a_request_that_is_not_sampled(
    trace: Trace, monkeypatch: pytest.MonkeyPatch, captured: None
) -> None:
    def compute(*args: Any) -> Any:
        raise AssertionError("computed")

    app = Application()
    with monkeypatch.context() as patch:
        patch.setattr(incoming, "redact_query", compute)
        patch.setattr(incoming, "record_headers", compute)
        patch.setattr(database, "read_statement", compute)
        incoming.install()
        set_sampler(always_off)
        visit(app, x_request_id="r7")
    assert trace.spans == []
    # The trace goes on, not sampled.
    assert app.sent["traceparent"].endswith("-00")
    assert app.sent["x-request-id"] == "r7"


def test_the_caller_s_decision_is_taken_over(trace: Trace) -> None:
    app = Application()
    visit(app, traceparent=f"00-{7:032x}-{8:016x}-00")
    assert trace.spans == []
    assert app.sent["traceparent"].split("-")[1::2] == [f"{7:032x}", "00"]


def test_baggage_of_the_caller_is_the_request_s_and_goes_on(trace: Trace) -> None:
    app = Application()
    with use_baggage({"other": "request"}):
        visit(app, baggage="tenant=a%20b")
    assert app.baggage == {"tenant": "a b"}
    assert app.sent["baggage"] == "tenant=a%20b"
    request = of_kind(trace, "SERVER").request
    assert request is not None
    assert request.baggage == {"tenant": "a b"}


def test_formats_by_name(trace: Trace) -> None:
    set_propagators(["b3"])
    app = Application()
    visit(app, b3=f"{7:032x}-{8:016x}-1", traceparent=f"00-{9:032x}-{8:016x}-01")
    assert of_kind(trace, "SERVER").context.trace_id == 7
    assert app.sent["b3"].split("-")[0] == f"{7:032x}"
    assert "traceparent" not in app.sent


def test_when_disabled_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch, trace: Trace) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    tracing.install()
    try:
        visit(Application())
    finally:
        tracing.uninstall()
    assert trace.spans == []

"""Frameworks that make spans of the API themselves: one request is one server span, ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import asynchooks
from asynchooks.libraries.asgi import TracedApplication

if TYPE_CHECKING:
    from tests.libraries.conftest import Trace


def visit(app: Any, **headers: str) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    asyncio.run(TracedApplication(app)(scope, receive, send))


def server_spans(trace: Trace) -> list[str]:
    return [span.name for span in trace.spans if span.kind.name == "SERVER"]


def test_starlette_s_own_span_is_below_ours(connected: Trace) -> None:
    async def home(request: Any) -> PlainTextResponse:
        assert asynchooks.current_request() is not None
        return PlainTextResponse("home")

    app = Starlette(routes=[Route("/", home)], middleware=[Middleware(OpenTelemetryMiddleware)])
    visit(app)
    visit(app, traceparent=f"00-{7:032x}-{8:016x}-01")
    assert server_spans(connected) == ["GET /", "GET /"]
    servers = [span for span in connected.spans if span.kind.name == "SERVER"]
    inner = [span for span in connected.spans if span.kind.name == "INTERNAL"]
    assert [span.parent for span in inner] == [span.context for span in servers]


def test_fastapi_sees_no_provider_and_makes_none(connected: Trace) -> None:
    app = FastAPI()

    @app.get("/")
    async def home() -> dict[str, int]:
        assert asynchooks.current_request() is not None
        return {}

    visit(app)
    assert server_spans(connected) == ["GET /"]
    assert {span.scope for span in connected.spans} == {None}

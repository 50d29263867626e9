"""The viewer over a store of its own, and spans to fill it with."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from asynchooks.viewer.app import make_app
from asynchooks.viewer.live import Live
from asynchooks.viewer.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROTOBUF = {"content_type": "application/x-protobuf"}
SERVER, CLIENT, INTERNAL = 2, 3, 1
_ids = itertools.count(1)


class Export:
    """An OTLP export of one process. In the names of attributes, `__` stands for a dot."""

    def __init__(self, service: str = "shop", *, pid: int = 1, **resource: Any) -> None:
        self.request = ExportTraceServiceRequest()
        resource_spans: Any = self.request.resource_spans.add()
        attributes = {"service__name": service, "process__pid": pid, **resource}
        put_attributes(resource_spans.resource.attributes, attributes)
        self._spans = resource_spans.scope_spans.add().spans

    def span(
        self,
        name: str = "span",
        *,
        trace: int = 1,
        parent: int = 0,
        kind: int = INTERNAL,
        start: int = 1_000_000_000,
        duration: int = 1_000_000,
        error: str = "",
        **attributes: Any,
    ) -> int:
        """Add a span. Returns its id."""
        span_id = next(_ids)
        span: Any = self._spans.add(
            trace_id=trace.to_bytes(16, "big"),
            span_id=span_id.to_bytes(8, "big"),
            parent_span_id=parent.to_bytes(8, "big") if parent else b"",
            name=name,
            kind=kind,
            start_time_unix_nano=start,
            end_time_unix_nano=start + duration,
        )
        if error:
            span.status.code = 2
            span.status.message = error
        put_attributes(span.attributes, attributes)
        return span_id

    def server(self, route: str = "/orders", *, status: int = 200, **more: Any) -> int:
        """Add a server span: a request."""
        attributes = {
            "http__request__method": "GET",
            "http__route": route,
            "url__path": route,
            "http__response__status_code": status,
            "asynchooks__request_id": f"r{more.get('trace', 1)}",
        }
        return self.span(f"GET {route}", kind=SERVER, **{**attributes, **more})

    def query(self, text: str, *, parent: int, **more: Any) -> int:
        """Add a query."""
        return self.span(
            text,
            kind=CLIENT,
            parent=parent,
            db__system__name="sqlite",
            db__query__text=text,
            **more,
        )

    @property
    def body(self) -> bytes:
        return self.request.SerializeToString()


def put_attributes(target: Any, attributes: dict[str, Any]) -> None:
    for key, value in attributes.items():
        pair = target.add(key=key.replace("__", "."))
        match value:
            case bool():
                pair.value.bool_value = value
            case int():
                pair.value.int_value = value
            case float():
                pair.value.double_value = value
            case _:
                pair.value.string_value = str(value)


class Viewer:
    """The viewer's application, asked in this process."""

    def __init__(self, store: Store, runner: asyncio.Runner, *, host: str = "127.0.0.1") -> None:
        self._runner = runner
        transport = httpx.ASGITransport(make_app(store, Live(), host=host))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4318")

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Its answer to one request."""
        return self._runner.run(self._client.request(method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def post(self, body: bytes, **headers: str) -> httpx.Response:
        """Its answer to an export. `_` in the names of headers stands for a dash."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", "/v1/traces", content=body, headers=named)

    def send(self, *exports: Export) -> None:
        for export in exports:
            answer = self.post(export.body, **PROTOBUF)
            assert answer.status_code == 200, answer.text

    def requests(self, **parameters: Any) -> list[dict[str, Any]]:
        answer = self.get("/api/requests", params=parameters)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["requests"]
        return found

    def request(self) -> dict[str, Any]:
        """The only one."""
        (request,) = self.requests()
        return request

    def trace(self, trace: int = 1) -> Any:
        return self.get(f"/api/requests/{trace:032x}").json()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "requests.db")
    yield store
    store.close()


@pytest.fixture
def viewer(store: Store) -> Iterator[Viewer]:
    with asyncio.Runner() as runner:
        yield Viewer(store, runner)

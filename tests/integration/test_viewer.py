"""`asynchooks view` as a process: durable, live, and open to other people's exporters."""

from __future__ import annotations

import http.client
import json
import re
import signal
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

if TYPE_CHECKING:
    from tests.integration.conftest import Starter, Viewer

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_spans_of_the_opentelemetry_sdk(viewer: Viewer, compression: Compression) -> None:
    exporter = OTLPSpanExporter(f"{viewer.url}/v1/traces", compression=compression)
    provider = TracerProvider(resource=Resource.create({"service.name": "billing"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    attributes = {"http.request.method": "POST", "http.route": "/bills", "url.path": "/bills"}
    with tracer.start_as_current_span("POST /bills", kind=SpanKind.SERVER, attributes=attributes):
        query = {"db.system.name": "postgresql", "db.query.text": "SELECT 1", "tags": ["a", "b"]}
        with tracer.start_as_current_span("SELECT", attributes=query) as span:
            span.add_event("cache miss", {"key": "bill"})
            span.set_status(StatusCode.ERROR, "too slow")
    provider.shutdown()
    (request,) = viewer.requests()
    assert (request["service"], request["method"], request["route"]) == (
        "billing",
        "POST",
        "/bills",
    )
    assert (request["queries"], request["errors"]) == (1, 1)
    parent, child = sorted(viewer.spans(request["trace_id"]), key=lambda one: one["name"])
    assert child["parent_span_id"] == parent["span_id"]
    assert child["attributes"]["tags"] == ["a", "b"]
    assert child["events"][0]["name"] == "cache miss"
    assert (child["status"], child["message"]) == (2, "too slow")


def export(viewer: Viewer, number: int) -> None:
    """Send one request as OTLP/JSON; it was accepted when this returns."""
    span = {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": f"GET /{number}",
        "kind": 2,
        "startTimeUnixNano": str(number),
        "endTimeUnixNano": str(number + 1),
        "attributes": [{"key": "http.route", "value": {"stringValue": f"/{number}"}}],
    }
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    request = urllib.request.Request(
        f"{viewer.url}/v1/traces", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


def test_nothing_that_was_accepted_is_lost_when_it_is_killed(start: Starter) -> None:
    for round_number in range(3):
        viewer = start.viewer()
        for number in range(1, 31):
            export(viewer, 100 * round_number + number)
        viewer.process.stop(signal.SIGKILL)
    viewer = start.viewer()
    assert {request["route"] for request in viewer.requests()} == {
        f"/{100 * round_number + number}" for round_number in range(3) for number in range(1, 31)
    }


def read_event(stream: http.client.HTTPResponse) -> tuple[str, Any]:
    """The next event of a stream, comments and settings passed over."""
    name = ""
    while True:
        line = stream.readline().decode().rstrip("\n")
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            return name, json.loads(line.removeprefix("data: "))


def test_open_pages_are_told_of_what_comes(viewer: Viewer) -> None:
    with (
        urllib.request.urlopen(f"{viewer.url}/api/live", timeout=60) as first,
        urllib.request.urlopen(f"{viewer.url}/api/live", timeout=60) as second,
    ):
        for stream in (first, second):
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert stream.readline() == b"retry: 1000\n"
        export(viewer, 1)
        export(viewer, 2)
        for stream in (first, second):
            for number in (1, 2):
                name, rows = read_event(stream)
                assert name == "requests"
                assert [row["route"] for row in rows] == [f"/{number}"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_at_once_though_pages_are_open(viewer: Viewer, number: signal.Signals) -> None:
    with urllib.request.urlopen(f"{viewer.url}/api/live", timeout=60) as stream:
        assert stream.readline() == b"retry: 1000\n"
        viewer.process.stop(number)
        while stream.readline():
            pass
    assert "Traceback" not in viewer.process.output


def test_the_page_comes_with_it(viewer: Viewer) -> None:
    with urllib.request.urlopen(viewer.url, timeout=60) as answer:
        page = answer.read().decode()
        assert answer.headers["content-type"].startswith("text/html")
    assert "app.js" in page
    assert not re.search(r'(src|href)="\w+://', page), "nothing is loaded from elsewhere"
    for name in ("app.js", "app.css"):
        with urllib.request.urlopen(f"{viewer.url}/{name}", timeout=60) as answer:
            assert 0 < len(answer.read()) < 300_000


def test_a_body_without_end_is_cut_off(viewer: Viewer) -> None:
    """It is refused while it comes, not when it has all been taken into memory."""
    export(viewer, 1)
    connection = http.client.HTTPConnection("127.0.0.1", int(viewer.port), timeout=60)
    connection.putrequest("POST", "/v1/traces")
    connection.putheader("content-type", "application/x-protobuf")
    connection.putheader("transfer-encoding", "chunked")
    connection.endheaders()
    sent = 0
    try:
        while sent < 1 << 30:
            connection.send(b"100000\r\n" + b"\0" * (1 << 20) + b"\r\n")
            sent += 1 << 20
    except OSError:
        pass  # it was cut off
    assert sent < 1 << 30
    connection.close()
    assert [request["route"] for request in viewer.requests()] == ["/1"]

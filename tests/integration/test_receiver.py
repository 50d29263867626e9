"""A receiver of OTLP that nobody here wrote, Datadog's test agent, takes what we send and gives it
back whole: protobuf over HTTP, which it decodes, and lines of the file, which it keeps as they are.
Log records, too.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.conftest import environment, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
HOME = ROOT / "build" / "receiver"

# What is sent, and what has to come back. The times are given, the ids are told.
SCRIPT = """
import json, sys
from asynchooks import _native, tracing
from asynchooks.tracing import Span, SpanContext, SpanKind, StatusCode
tracing.install()
scope = _native.encode_scope("library", "3", "https://schema", {"scoped": True})
parent = SpanContext(0xabc << 64 | 1, 0xdef, 1, "vendor=1", is_remote=True)
values = {"text": "é€😀", "yes": True, "n": -5, "x": 2.5, "raw": b"\\x00\\xff", "many": ["a", "b"],
    "map": {"k": "v"}}
server = Span("GET /orders", kind=SpanKind.SERVER, parent=parent, attributes=values,
    start_time=1_700_000_000_123_456_789)
child = Span("select", kind=SpanKind.CLIENT, parent=server, scope=scope,
    start_time=1_700_000_000_200_000_001)
child.add_link(parent, {"why": "batch"})
child.end(1_700_000_000_200_000_002)
server.add_event("log", {"line": 1}, 1_700_000_000_300_000_003)
server.set_status(StatusCode.ERROR, "broken")
server.end(1_700_000_000_400_000_004)
for number in range(1000):
    Span("many", attributes={"number": number}).end()
assert tracing.flush(30)
assert tracing.stats() == (1002, 1002, 0, 0), tracing.stats()
print(json.dumps([f"{server.context.span_id:016x}", f"{child.context.span_id:016x}"]))
"""


@pytest.fixture(scope="module")
def agent() -> Iterator[str]:
    subprocess.run(["make", str(HOME.relative_to(ROOT) / ".installed")], cwd=ROOT, check=True)
    ports = [free_port() for _ in range(3)]
    options = zip(("--port", "--otlp-http-port", "--otlp-grpc-port"), map(str, ports), strict=True)
    url = f"http://127.0.0.1:{ports[1]}"
    command = [HOME / "bin" / "ddapm-test-agent", "--host", "127.0.0.1"]
    with subprocess.Popen(
        [str(word) for word in (*command, *(w for option in options for w in option))],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until(lambda: answers(url), "the test agent answers")
            yield url
        finally:
            process.terminate()
            process.wait(30)


def ask(url: str, path: str, body: bytes | None = None) -> bytes:
    headers = {"content-type": "application/json"} if body is not None else {}
    request = urllib.request.Request(url + path, body, headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return bytes(response.read())


def answers(url: str) -> bool:
    try:
        ask(url, "/test/session/traces")
    except (urllib.error.URLError, OSError):
        return False
    return True


def run(script: str = SCRIPT, **variables: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=environment({"OTEL_SERVICE_NAME": "shop", **variables}),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.stderr == ""
    ids: list[str] = json.loads(run.stdout)
    return ids


def check(requests: list[dict[str, Any]], ids: list[str]) -> None:
    """What the agent tells, in protobuf's JSON with the names of trace.proto."""
    spans, scopes = [], {}
    for request in requests:
        (resource_spans,) = request["resource_spans"]
        resource = {pair["key"]: pair["value"] for pair in resource_spans["resource"]["attributes"]}
        assert resource["service.name"] == {"string_value": "shop"}
        for scope_spans in resource_spans["scope_spans"]:
            for span in scope_spans["spans"]:
                spans.append(span)
                scopes[span["name"]] = scope_spans
    assert sorted(
        int(s["attributes"][0]["value"]["int_value"]) for s in spans if s["name"] == "many"
    ) == (list(range(1000)))

    def identity(text: str) -> str:
        return base64.b64decode(text).hex()

    (server,) = (span for span in spans if span["name"] == "GET /orders")
    (child,) = (span for span in spans if span["name"] == "select")
    assert [identity(server["span_id"]), identity(child["span_id"])] == ids
    assert identity(child["parent_span_id"]) == ids[0]
    assert identity(server["trace_id"]) == identity(child["trace_id"]) == f"{0xABC << 64 | 1:032x}"
    assert identity(server["parent_span_id"]) == f"{0xDEF:016x}"
    assert server["trace_state"] == "vendor=1"
    assert (server["kind"], child["kind"]) == ("SPAN_KIND_SERVER", "SPAN_KIND_CLIENT")
    assert server["start_time_unix_nano"] == "1700000000123456789"
    assert server["end_time_unix_nano"] == "1700000000400000004"
    assert server["status"] == {"message": "broken", "code": "STATUS_CODE_ERROR"}
    assert server["flags"] == 0x301
    assert {pair["key"]: pair["value"] for pair in server["attributes"]} == {
        "text": {"string_value": "é€😀"},
        "yes": {"bool_value": True},
        "n": {"int_value": "-5"},
        "x": {"double_value": 2.5},
        "raw": {"bytes_value": "AP8="},
        "many": {"array_value": {"values": [{"string_value": "a"}, {"string_value": "b"}]}},
        "map": {"kvlist_value": {"values": [{"key": "k", "value": {"string_value": "v"}}]}},
    }
    (event,) = server["events"]
    assert (event["name"], event["time_unix_nano"]) == ("log", "1700000000300000003")
    (link,) = child["links"]
    assert identity(link["span_id"]) == f"{0xDEF:016x}"
    assert (link["trace_state"], link["flags"]) == ("vendor=1", 0x301)
    assert scopes["select"]["schema_url"] == "https://schema"
    assert scopes["select"]["scope"]["name"] == "library"
    assert scopes["GET /orders"]["scope"]["name"] == "asynchooks"


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_protobuf_comes_back_whole(agent: str, compression: str) -> None:
    ask(agent, "/test/session/clear")
    ids = run(OTEL_EXPORTER_OTLP_ENDPOINT=agent, OTEL_EXPORTER_OTLP_COMPRESSION=compression)
    check(json.loads(ask(agent, "/test/session/traces")), ids)


def test_json_comes_back_whole(agent: str, tmp_path: Path) -> None:
    ask(agent, "/test/session/clear")
    path = tmp_path / "traces.jsonl"
    run(OTEL_TRACES_EXPORTER="file", ASYNCHOOKS_TRACES_FILE=str(path))
    lines = path.read_bytes().splitlines()
    for line in lines:
        ask(agent, "/v1/traces", line)
    told = json.loads(ask(agent, "/test/session/traces"))  # the newest first
    assert told[::-1] == [json.loads(line) for line in lines]


LOGGING = """
import asynchooks, logging, json
from asynchooks import tracing
from asynchooks.tracing import Span, use_span
asynchooks.enable(tracing=True)
logger = logging.getLogger("shop.orders")
logger.addHandler(logging.NullHandler())
with use_span(Span("work")) as span:
    logger.critical("served %s", "é€😀", extra={"user": "ada", "count": 3})
    for number in range(1000):
        logger.warning("many", extra={"number": number})
assert tracing.flush(30)
assert tracing.log_stats() == (1001, 1001, 0, 0), tracing.log_stats()
print(json.dumps([f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"]))
"""


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_log_records_come_back_whole(agent: str, compression: str) -> None:
    ask(agent, "/test/session/clear")
    ids = run(
        LOGGING,
        OTEL_EXPORTER_OTLP_ENDPOINT=agent,
        OTEL_EXPORTER_OTLP_COMPRESSION=compression,
        OTEL_LOGS_EXPORTER="otlp",
        OTEL_TRACES_EXPORTER="none",
    )
    records = [
        (scope["scope"]["name"], record)
        for request in json.loads(ask(agent, "/test/session/logs"))
        for resource in request["resource_logs"]
        for scope in resource["scope_logs"]
        for record in scope["log_records"]
    ]
    assert {name for name, _ in records} == {"shop.orders"}
    (served,) = (record for _, record in records if record["severity_text"] == "FATAL")
    assert served["severity_number"] == "SEVERITY_NUMBER_FATAL"
    assert served["body"] == {"string_value": "served é€😀"}
    assert [base64.b64decode(served[key]).hex() for key in ("trace_id", "span_id")] == ids
    attributes = {pair["key"]: pair["value"] for pair in served["attributes"]}
    assert attributes["user"] == {"string_value": "ada"}
    assert attributes["count"] == {"int_value": "3"}
    numbers = [
        int(pair["value"]["int_value"])
        for _, record in records
        for pair in record["attributes"]
        if pair["key"] == "number"
    ]
    assert sorted(numbers) == list(range(1000))

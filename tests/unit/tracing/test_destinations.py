"""The file and the console, and which of them the environment chooses."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from asynchooks import _native
from asynchooks.tracing import Span, SpanKind, StatusCode, destinations
from asynchooks.tracing.config import Config
from asynchooks.tracing.console import ConsoleWriter
from asynchooks.tracing.exporter import Exporter
from asynchooks.tracing.file import FileWriter
from asynchooks.tracing.sender import Sender

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.tracing.conftest import Encoded


def never() -> bool:
    return False


def end_one(name: str, **attributes: Any) -> None:
    Span(
        name, kind=SpanKind.SERVER, attributes=attributes, start_time=1_700_000_000_123_000_000
    ).end(1_700_000_000_127_500_000)


@pytest.mark.parametrize(
    ("exporter", "kind"), [("otlp", Sender), ("console", ConsoleWriter), ("file", FileWriter)]
)
def test_the_environment_chooses(exporter: str, kind: type) -> None:
    config = Config.from_environment({"OTEL_TRACES_EXPORTER": exporter})
    assert type(destinations.make_destination(config)) is kind


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "console"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "nonsense"},
    ],
)
def test_or_nothing(environment: dict[str, str]) -> None:
    assert destinations.make_destination(Config.from_environment(environment)) is None


def test_a_line_is_a_request_in_otlp_json(encoded: Encoded, tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    writer = FileWriter(str(path))
    for name in ("one", "zwei\né"):
        end_one(name, count=3, ratio=float("nan"), raw=b"\x00\xff", many=[1, "a"])
        assert writer.send(encoded.body({"service.name": "shop"}), 1, never) == 1
    writer.close()
    first, second = map(json.loads, path.read_text().splitlines())
    assert first["resourceSpans"][0]["resource"]["attributes"] == [
        {"key": "service.name", "value": {"stringValue": "shop"}}
    ]
    (span,) = first["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert len(span["traceId"]) == 32
    assert len(span["spanId"]) == 16
    assert span["startTimeUnixNano"] == "1700000000123000000"
    assert span["kind"] == 2
    assert span["attributes"] == [
        {"key": "count", "value": {"intValue": "3"}},
        {"key": "ratio", "value": {"doubleValue": "NaN"}},
        {"key": "raw", "value": {"bytesValue": "AP8="}},
        {
            "key": "many",
            "value": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "a"}]}},
        },
    ]
    assert second["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] == "zwei\né"


def test_a_full_disk_is_survived_counted_and_spoken_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = Config(endpoint=None)
    exporter = Exporter(config, FileWriter("/dev/full"))
    try:
        for _ in range(3):
            end_one("lost")
            assert exporter.flush(30)
        assert exporter.stats() == (3, 0, 3, 0)
    finally:
        exporter.shutdown()
        _native.set_span_buffer(None)
    (record,) = caplog.records
    assert "/dev/full" in record.getMessage()
    assert "No space left" in record.getMessage()


def test_a_file_that_cannot_be_opened_is_tried_again(
    encoded: Encoded, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "later" / "traces.jsonl"
    writer = FileWriter(str(path))
    end_one("one")
    body = encoded.body()
    assert writer.send(body, 1, never) == 0
    path.parent.mkdir()
    assert writer.send(body, 1, never) == 1
    writer.close()
    assert len(path.read_text().splitlines()) == 1
    assert len(caplog.records) == 1


def test_after_a_line_that_is_not_whole_comes_a_new_one(
    encoded: Encoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "traces.jsonl"
    writer = FileWriter(str(path))
    end_one("one")
    body = encoded.body()
    write = os.write
    parts = iter((10, OSError(28, "No space left on device")))

    def write_a_part(file: int, content: memoryview) -> int:
        part = next(parts, None)
        if isinstance(part, OSError):
            raise part
        return write(file, content[:part])

    monkeypatch.setattr(os, "write", write_a_part)
    assert writer.send(body, 1, never) == 0
    assert writer.send(body, 1, never) == 1
    writer.close()
    torn, whole = path.read_text().splitlines()
    assert len(torn) == 10
    assert json.loads(whole)["resourceSpans"]


def test_processes_share_a_file(tmp_path: Path, encoded: Encoded) -> None:
    path = tmp_path / "traces.jsonl"
    writers = [FileWriter(str(path)) for _ in range(2)]
    end_one("one")
    body = encoded.body()
    for _ in range(10):
        for writer in writers:
            assert writer.send(body, 1, never) == 1
    for writer in writers:
        writer.close()
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 20


def test_the_console_shows_a_line_for_each(
    encoded: Encoded, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = Span("parent")
    end_one("GET /orders", **{"http.response.status_code": 200, "tags": ["a", {"b": 1}]})
    span = Span("query\n", parent=parent, start_time=1_700_000_000_000_000_000)
    span.add_event("exception")
    span.set_status(StatusCode.ERROR, "no such\ntable")
    span.end(1_700_000_001_000_000_000)
    assert ConsoleWriter().send(encoded.body(), 2, never) == 2
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(
        "22:13:20.123     4.500 ms server   GET /orders "
        "http.response.status_code=200 tags=['a', {'b': '1'}] trace="
    )
    assert "query\\n error (no such\\ntable) events=exception trace=" in second
    assert second.endswith(f"parent={parent.context.span_id:016x}")


def test_a_console_that_is_gone_loses_spans_and_nothing_else(
    encoded: Encoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_one("one")
    body = encoded.body()
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "stdout", stream)
        assert ConsoleWriter().send(body, 1, never) == 0

"""Log records: what they are encoded to, how they leave the process, and when they do not."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs._internal import std_to_otel

from asynchooks import _native
from asynchooks.tracing import Span, add_log_line, use_span
from asynchooks.tracing.config import Config
from asynchooks.tracing.console import ConsoleWriter
from asynchooks.tracing.export_config import ExportConfig
from asynchooks.tracing.exporter import Exporter
from asynchooks.tracing.file import FileWriter
from asynchooks.tracing.otlp import split_request
from asynchooks.tracing.signals import LOGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Buffer:
    """What lines are encoded to, read with OpenTelemetry's own generated code."""

    def __init__(self, capacity: int = 1000) -> None:
        self.buffer = _native.ExportBuffer(
            start=lambda: None,
            scope=_native.encode_scope("nobody"),
            capacity=capacity,
            byte_limit=1 << 30,
            batch=1000,
        )
        _native.set_log_buffer(self.buffer)

    def body(self) -> bytes:
        taken = self.buffer.take(_native.encode_resource({"service.name": "shop"}))
        assert taken is not None
        self.buffer.settle(taken[0], 0)
        return taken[1]

    def scopes(self) -> Any:
        (resource_logs,) = ExportLogsServiceRequest.FromString(self.body()).resource_logs
        return resource_logs.scope_logs

    def record(self) -> Any:
        ((record,),) = (scope.log_records for scope in self.scopes())
        return record


@pytest.fixture
def buffer() -> Iterator[Buffer]:
    yield Buffer()
    _native.set_log_buffer(None)


@pytest.fixture
def limits() -> Iterator[None]:
    yield
    _native.set_span_limits(**Config(endpoint=None).limits)


def log(message: str = "served", **more: Any) -> None:
    add_log_line(
        message,
        **{
            "severity": "INFO",
            "level": 20,
            "logger": "shop.orders",
            "timestamp": 1_700_000_000_000_000_123,
            "exception": None,
            "site": {"code.file.path": "/shop/orders.py", "code.line.number": 7},
            "extra": dict,
            **more,
        },
    )


def attributes_of(record: Any) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in record.attributes
    }


def test_a_record_in_a_span(buffer: Buffer) -> None:
    span = Span("work")
    with use_span(span):
        log("für €", extra=lambda: {"user": "ada", "count": 3, "ratio": 0.5, "is_new": True})
    (scope,) = buffer.scopes()
    assert scope.scope.name == "shop.orders"
    (record,) = scope.log_records
    assert record.trace_id == span.context.trace_id.to_bytes(16, "big")
    assert record.span_id == span.context.span_id.to_bytes(8, "big")
    assert record.flags == 1
    assert record.time_unix_nano == 1_700_000_000_000_000_123
    assert record.observed_time_unix_nano > record.time_unix_nano
    assert (record.severity_number, record.severity_text) == (9, "INFO")
    assert record.body.string_value == "für €"
    assert attributes_of(record) == {
        "code.file.path": "/shop/orders.py",
        "code.line.number": 7,
        "user": "ada",
        "count": 3,
        "ratio": 0.5,
        "is_new": True,
    }
    assert span.events == []


def test_a_record_outside_of_any_span(buffer: Buffer) -> None:
    log()
    record = buffer.record()
    assert (record.trace_id, record.span_id, record.flags) == (b"", b"", 0)


def test_a_record_in_a_span_that_is_not_sampled(buffer: Buffer) -> None:
    parent = Span("remote").context._replace(trace_flags=0)
    span = Span("work", parent=parent)
    with use_span(span):
        log()
    record = buffer.record()
    assert record.trace_id == parent.trace_id.to_bytes(16, "big")
    assert record.flags == 0


def test_an_exception(buffer: Buffer) -> None:
    try:
        raise LookupError("no such order")  # noqa: TRY301 -- to be logged
    except LookupError as exc:
        log(exception=exc)
    attributes = attributes_of(buffer.record())
    assert attributes["exception.type"] == "LookupError"
    assert attributes["exception.message"] == "no such order"
    assert attributes["exception.stacktrace"].startswith("Traceback (most recent call last):")
    assert attributes["exception.stacktrace"].endswith("LookupError: no such order\n")


def test_severities_are_opentelemetry_s(buffer: Buffer) -> None:
    levels = [*range(10, 70)]
    for level in levels:
        log(level=level)
    ((scope),) = buffer.scopes()
    numbers = [record.severity_number for record in scope.log_records]
    assert numbers == [std_to_otel(level).value for level in levels]


@pytest.mark.parametrize(
    ("level", "severity", "number", "text"),
    [
        (5, "TRACE", 1, "TRACE"),
        (0, "NOTSET", 0, "NOTSET"),
        (-5, "odd", 0, "odd"),
        (30, "WARNING", 13, "WARN"),
        (50, "CRITICAL", 21, "FATAL"),
    ],
)
def test_severities_that_are_called_otherwise(
    buffer: Buffer, level: int, severity: str, number: int, text: str
) -> None:
    log(level=level, severity=severity)
    record = buffer.record()
    assert (record.severity_number, record.severity_text) == (number, text)


def test_of_the_application_s_fields_those_that_are_simple(buffer: Buffer) -> None:
    class Odd:
        def __str__(self) -> str:
            raise AssertionError("nobody may ask")

    fields = {"a": None, "b": [1], "c": {"d": 1}, "e": Odd(), "f": b"raw", 7: "no name", "ok": "x"}
    log(site={}, extra=lambda: fields)
    assert attributes_of(buffer.record()) == {"ok": "x"}


def test_a_field_does_not_replace_what_the_line_says_itself(buffer: Buffer) -> None:
    log(extra=lambda: {"code.line.number": 4711})
    assert attributes_of(buffer.record())["code.line.number"] == 7


def test_limits(buffer: Buffer, limits: None) -> None:
    _native.set_span_limits(log_attributes=2, value_length=5)
    log("a long message", severity="VERY LONG", extra=lambda: {"user": "ada", "b": 1})
    record = buffer.record()
    assert record.body.string_value == "a lon"
    assert record.severity_text == "VERY "
    assert attributes_of(record) == {"code.file.path": "/shop", "code.line.number": 7}
    assert record.dropped_attributes_count == 2


def test_text_that_is_none(buffer: Buffer) -> None:
    log("half a pair: \ud83d", extra=lambda: {"user": "\udcff"})
    record = buffer.record()
    assert record.body.string_value == "half a pair: ?"
    assert attributes_of(record)["user"] == "?"


def test_each_logger_is_a_scope(buffer: Buffer) -> None:
    for logger in ("a", "b", "a"):
        log(logger, logger=logger)
    found = {
        scope.scope.name: [record.body.string_value for record in scope.log_records]
        for scope in buffer.scopes()
    }
    assert found == {"a": ["a", "a"], "b": ["b"]}


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    full = Buffer(capacity=2)
    for _ in range(5):
        log()
    assert full.buffer.stats() == (5, 0, 3, 2)
    _native.set_log_buffer(None)


@pytest.mark.parametrize(
    "arguments",
    [
        (1, None, 0, 9, "INFO", "text", {}),
        (None, "scope", 0, 9, "INFO", "text", {}),
        (None, None, "now", 9, "INFO", "text", {}),
        (None, None, -1, 9, "INFO", "text", {}),
        (None, None, 0, "high", "INFO", "text", {}),
        (None, None, 0, 9, "INFO", "text"),
    ],
)
def test_what_makes_no_sense_is_refused_and_not_counted(
    buffer: Buffer, arguments: tuple[Any, ...]
) -> None:
    with pytest.raises((TypeError, OverflowError)):
        _native.export_log_record(*arguments)
    assert buffer.buffer.stats() == (0, 0, 0, 0)


def test_without_a_buffer_nothing_is_encoded() -> None:
    assert not _native.is_exporting_logs()
    _native.export_log_record(None, None, 0, 9, "INFO", "text", {})


def test_a_request_of_log_records_can_be_halved(buffer: Buffer) -> None:
    for number in range(5):
        log(str(number), logger="ab"[number % 2])
    halves = split_request(buffer.body())
    assert [count for count, _ in halves] == [2, 3]
    found = [
        record.body.string_value
        for _, half in halves
        for scope in ExportLogsServiceRequest.FromString(half).resource_logs[0].scope_logs
        for record in scope.log_records
    ]
    assert sorted(found) == ["0", "1", "2", "3", "4"]


def test_as_json_it_is_what_protobuf_s_own_code_makes_of_it(buffer: Buffer) -> None:
    with use_span(Span("work")):
        log('a\n"b"', extra=lambda: {"ratio": 0.5, "is_new": False})
    body = buffer.body()
    expected = MessageToDict(ExportLogsServiceRequest.FromString(body), use_integers_for_enums=True)
    (record,) = expected["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    for key in ("traceId", "spanId"):
        record[key] = base64.b64decode(record[key]).hex()
    assert json.loads(_native.request_as_json(body, "logs")) == expected
    with pytest.raises(ValueError, match="expected 'traces' or 'logs'"):
        _native.request_as_json(body, "metrics")


def test_the_console_shows_a_line_for_each(
    buffer: Buffer, capsys: pytest.CaptureFixture[str]
) -> None:
    with use_span(Span("work")) as span:
        assert span is not None
        log("two\nlines")
    log("alone", site={})
    assert ConsoleWriter(LOGS).send(buffer.body(), 2, lambda: False) == 2
    first, second = capsys.readouterr().out.splitlines()
    assert first == (
        "22:13:20.000 INFO     shop.orders: two\\nlines code.file.path=/shop/orders.py "
        f"code.line.number=7 trace={span.context.trace_id:032x} span={span.context.span_id:016x}"
    )
    assert second == "22:13:20.000 INFO     shop.orders: alone"


@pytest.fixture
def make_exporter() -> Iterator[Callable[[Any], Exporter]]:
    made: list[Exporter] = []

    def make(destination: Any) -> Exporter:
        export = ExportConfig(signal=LOGS, endpoint=None)
        made.append(Exporter(Config(endpoint=None), destination, export))
        return made[-1]

    yield make
    for exporter in made:
        exporter.shutdown()
    _native.set_log_buffer(None)


def test_a_file_of_its_own(tmp_path: Path, make_exporter: Callable[[Any], Exporter]) -> None:
    exporter = make_exporter(FileWriter(str(tmp_path / "logs.jsonl"), LOGS))
    log("written")
    assert exporter.flush(30)
    (line,) = (tmp_path / "logs.jsonl").read_text().splitlines()
    (resource,) = json.loads(line)["resourceLogs"]
    assert resource["scopeLogs"][0]["logRecords"][0]["body"] == {"stringValue": "written"}
    assert {pair["key"] for pair in resource["resource"]["attributes"]} >= {
        "service.name",
        "process.pid",
        "asynchooks.dropped_log_records",
    }


def test_what_the_exporter_s_thread_logs_is_not_exported(
    make_exporter: Callable[[Any], Exporter],
) -> None:
    class Talkative:
        """Logs as a library does that it uses."""

        def __init__(self) -> None:
            self.counts: list[int] = []

        def send(self, body: bytes, count: int, give_up: Callable[[], bool]) -> int:
            self.counts.append(count)
            log(f"sending {count}")
            return count

        def close(self) -> None:
            log("closing")

    destination = Talkative()
    exporter = make_exporter(destination)
    log("one")
    assert exporter.flush(30)
    log("two")
    assert exporter.flush(30)
    exporter.shutdown()
    assert destination.counts == [1, 1]
    assert exporter.stats() == (2, 2, 0, 0)


def test_nor_what_the_thread_that_exports_spans_logs(buffer: Buffer) -> None:
    class Talkative:
        def send(self, body: bytes, count: int, give_up: Callable[[], bool]) -> int:
            log("sending")
            return count

        def close(self) -> None:
            pass

    exporter = Exporter(Config(endpoint=None), Talkative())
    Span("work").end()
    assert exporter.flush(30)
    exporter.shutdown()
    _native.set_span_buffer(None)
    assert buffer.buffer.stats() == (0, 0, 0, 0)


def test_a_receiver_that_is_stuck_holds_up_no_spans(
    make_exporter: Callable[[Any], Exporter],
) -> None:
    may_go_on = threading.Event()

    class Stuck:
        def send(self, body: bytes, count: int, give_up: Callable[[], bool]) -> int:
            may_go_on.wait()
            return count

        def close(self) -> None:
            pass

    logs = make_exporter(Stuck())
    log()
    spans = Exporter(Config(endpoint=None), ConsoleWriter())
    try:
        assert not logs.start_flush().wait(0)
        Span("work").end()
        assert spans.flush(30)
        assert spans.stats() == (1, 1, 0, 0)
        assert logs.stats().waiting == 1
    finally:
        may_go_on.set()
        spans.shutdown()
        _native.set_span_buffer(None)


PRELUDE = """
import logging, os, signal, sys, threading
import asynchooks
asynchooks.enable(tracing=True)
logger = logging.getLogger("shop")
logger.setLevel(logging.INFO)
logger.addHandler(logging.NullHandler())
"""
ENDS = {
    "exit": "logger.info('last words')",
    "an exception": "logger.info('last words'); 1 / 0",
    "SIGTERM": "logger.info('last words'); os.kill(os.getpid(), 15); threading.Event().wait()",
    "SIGTERM with spans": (
        "from asynchooks.tracing import Span\\n"
        "Span('work').end(); logger.info('last words'); os.kill(os.getpid(), 15)\\n"
        "threading.Event().wait()"
    ),
    "a forked child": (
        "logger.info('first words')\\n"
        "pid = os.fork()\\n"
        "logger.info('parent' if pid else 'last words')\\n"
        "if not pid: sys.exit()\\n"
        "os.waitpid(pid, 0)"
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_lost_however_the_process_ends(end: str, tmp_path: Path) -> None:
    path, traces = tmp_path / "logs.jsonl", tmp_path / "traces.jsonl"
    environment = {
        **os.environ,
        "OTEL_TRACES_EXPORTER": "file",
        "ASYNCHOOKS_TRACES_FILE": str(traces),
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
        "OTEL_LOGS_EXPORTER": "file",
        "ASYNCHOOKS_LOGS_FILE": str(path),
        "OTEL_BLRP_SCHEDULE_DELAY": "600000",  # nothing leaves before it has to
    }
    script = PRELUDE + ENDS[end].replace("\\n", "\n")
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        timeout=60,
        capture_output=True,
        check=False,
    )
    expected = {"exit": 0, "an exception": 1, "a forked child": 0}.get(end, -15)
    assert done.returncode == expected, done.stderr
    said = [
        record["body"]["stringValue"]
        for line in path.read_text().splitlines()
        for resource in json.loads(line)["resourceLogs"]
        for scope in resource["scopeLogs"]
        for record in scope["logRecords"]
    ]
    if end == "a forked child":
        assert sorted(said) == ["first words", "last words", "parent"]
    else:
        assert said == ["last words"]
    assert traces.exists() == (end == "SIGTERM with spans")

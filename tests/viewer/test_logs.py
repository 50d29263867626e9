"""Log records: taken at /v1/logs, and shown at the span that they were written in."""

from __future__ import annotations

import gzip
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from tests.viewer.conftest import PROTOBUF, Export, put_attributes

from asynchooks.viewer import store as store_module
from asynchooks.viewer.decode import decode_export, decode_logs
from asynchooks.viewer.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    from tests.viewer.conftest import Viewer


class Lines:
    """An OTLP export of log records by one process."""

    def __init__(self, logger: str = "shop.orders") -> None:
        self.request = ExportLogsServiceRequest()
        resource_logs: Any = self.request.resource_logs.add()
        put_attributes(
            resource_logs.resource.attributes, {"service__name": "shop", "process__pid": 1}
        )
        scope = resource_logs.scope_logs.add()
        scope.scope.name = logger
        self.records = scope.log_records

    def line(
        self,
        message: str,
        *,
        span: int,
        trace: int = 1,
        time: int = 1_000_000_005,
        severity: str = "WARN",
        **attributes: Any,
    ) -> Any:
        record = self.records.add(
            trace_id=trace.to_bytes(16, "big"),
            span_id=span.to_bytes(8, "big"),
            time_unix_nano=time,
            severity_text=severity,
        )
        record.body.string_value = message
        put_attributes(record.attributes, attributes)
        return record

    @property
    def body(self) -> bytes:
        return self.request.SerializeToString()

    def send_to(self, viewer: Viewer) -> httpx.Response:
        answer = viewer.ask(
            "POST",
            "/v1/logs",
            content=self.body,
            headers={"content-type": "application/x-protobuf"},
        )
        assert answer.status_code == 200, answer.text
        return answer


def messages(viewer: Viewer, span: int) -> list[str]:
    (found,) = (s for s in viewer.trace()["spans"] if s["span_id"] == f"{span:016x}")
    return [event["attributes"].get("log.message", event["name"]) for event in found["events"]]


@pytest.mark.parametrize("lines_come_first", [True, False])
def test_a_line_is_shown_at_its_span(viewer: Viewer, lines_come_first: bool) -> None:
    export, lines = Export(), Lines()
    root = export.server()
    query = export.query("SELECT 1", parent=root)
    lines.line("slow", span=query, code__line__number=7)
    if lines_come_first:
        answer = lines.send_to(viewer)
        assert viewer.requests() == []
        viewer.send(export)
    else:
        viewer.send(export)
        answer = lines.send_to(viewer)
    assert not ExportLogsServiceResponse.FromString(answer.content).HasField("partial_success")
    assert viewer.request()["logs"] == 1
    first, second = sorted(viewer.trace()["spans"], key=lambda span: span["span_id"])
    assert first["events"] == []
    assert second["events"] == [
        {
            "name": "log",
            "time": "1000000005",
            "attributes": {
                "log.message": "slow",
                "log.severity": "WARN",
                "log.logger": "shop.orders",
                "code.line.number": 7,
            },
        }
    ]


def test_lines_stand_among_the_events_of_their_span_in_time(viewer: Viewer) -> None:
    export, lines = Export(), Lines()
    root = export.server()
    span = export.request.resource_spans[0].scope_spans[0].spans[0]
    span.events.add(name="cache miss", time_unix_nano=6)
    span.events.add(name="exception", time_unix_nano=2)
    for time in (7, 1):
        lines.line(f"at {time}", span=root, time=time)
    viewer.send(export)
    lines.send_to(viewer)
    assert messages(viewer, root) == ["at 1", "exception", "cache miss", "at 7"]


def test_what_is_sent_again_is_stored_once(viewer: Viewer) -> None:
    export, lines = Export(), Lines()
    root = export.server()
    lines.line("once", span=root)
    lines.line("twice", span=root)
    lines.line("twice", span=root, time=1_000_000_006)
    for _ in range(2):
        lines.send_to(viewer)
        viewer.send(export)
    assert messages(viewer, root) == ["once", "twice", "twice"]
    assert viewer.request()["logs"] == 3


def test_a_line_of_a_span_that_never_comes_stands_at_the_first(viewer: Viewer) -> None:
    export, lines = Export(), Lines()
    root = export.server()
    lines.line("below", span=4711)
    lines.send_to(viewer)
    viewer.send(export)
    assert messages(viewer, root) == ["below"]
    assert viewer.request()["logs"] == 1


def test_each_request_of_a_trace_counts_its_own_lines(viewer: Viewer) -> None:
    export, lines = Export(), Lines()
    outer = export.server("/outer")
    inner = export.server("/inner", parent=outer)
    query = export.query("SELECT 1", parent=inner)
    lines.line("outer", span=outer)
    lines.line("inner", span=inner)
    lines.line("query", span=query)
    viewer.send(export)
    lines.send_to(viewer)
    assert {row["route"]: row["logs"] for row in viewer.requests()} == {"/outer": 1, "/inner": 2}


def test_a_line_of_no_span_is_taken_and_not_kept(viewer: Viewer, store: Store) -> None:
    lines = Lines()
    lines.records.add(time_unix_nano=5).body.string_value = "starting up"
    answer = lines.send_to(viewer)
    assert answer.content == b""
    with closing(store.reader()) as reader:
        (count,) = reader.execute("SELECT count(*) FROM log").fetchone()
    assert count == 0


@pytest.mark.parametrize(
    ("number", "severity"), [(1, "TRACE"), (12, "INFO"), (13, "WARN"), (24, "FATAL"), (0, "")]
)
def test_what_other_senders_leave_out(viewer: Viewer, number: int, severity: str) -> None:
    export, lines = Export(), Lines()
    root = export.server()
    record = lines.line("", span=root, severity="", time=0)
    record.severity_number = number
    record.observed_time_unix_nano = 17
    record.body.kvlist_value.values.add(key="a").value.int_value = 1
    viewer.send(export)
    lines.send_to(viewer)
    (event,) = viewer.trace()["spans"][0]["events"]
    assert event["time"] == "17"
    assert event["attributes"]["log.message"] == '{"a": 1}'
    assert event["attributes"]["log.severity"] == severity


def test_json_packed(viewer: Viewer) -> None:
    export = Export()
    root = export.server()
    viewer.send(export)
    record = {
        "timeUnixNano": "5",
        "severityText": "INFO",
        "traceId": f"{1:032x}",
        "spanId": f"{root:016x}",
        "body": {"stringValue": "as JSON"},
    }
    document = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    answer = viewer.ask(
        "POST",
        "/v1/logs",
        content=gzip.compress(json.dumps(document).encode()),
        headers={"content-type": "application/json", "content-encoding": "gzip"},
    )
    assert (answer.status_code, answer.json()) == (200, {})
    assert messages(viewer, root) == ["as JSON"]


def test_what_is_none_is_refused(viewer: Viewer) -> None:
    headers = {"content-type": "application/x-protobuf"}
    answer = viewer.ask("POST", "/v1/logs", content=b"\xff\xff", headers=headers)
    assert answer.status_code == 400
    assert b"the body is not an OTLP log export" in answer.content
    assert viewer.ask("GET", "/v1/logs").status_code == 405


def test_lines_go_with_their_request(tmp_path: Path) -> None:
    store = Store(tmp_path / "requests.db", maximum_requests=1)
    with closing(store.reader()) as reader:
        for trace in (1, 2):
            export, lines = Export(), Lines()
            lines.line("kept?", span=export.server(trace=trace), trace=trace)
            store.add_logs(decode_logs(lines.body, PROTOBUF["content_type"], ""))
            store.add(decode_export(export.body, PROTOBUF["content_type"], ""))
        kept = reader.execute("SELECT trace_id FROM log").fetchall()
    store.close()
    assert [row["trace_id"] for row in kept] == [(2).to_bytes(16, "big")]


def test_lines_whose_request_never_comes_do_not_pile_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAXIMUM_LINES", 10)
    store = Store(tmp_path / "requests.db")
    for trace in range(1, 31):
        lines = Lines()
        lines.line("lost", span=1, trace=trace)
        store.add_logs(decode_logs(lines.body, PROTOBUF["content_type"], ""))
    with closing(store.reader()) as reader:
        (count,) = reader.execute("SELECT count(*) FROM log").fetchone()
    store.close()
    assert count == 10

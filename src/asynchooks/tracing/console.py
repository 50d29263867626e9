"""Writing spans, or log records, to standard output: one line each, for people."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks.tracing.signals import LOGS, TRACES

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynchooks.tracing.signals import Signal

__all__ = ("ConsoleWriter", "format_log_record", "format_span")

_KINDS = ("", "internal", "server", "client", "producer", "consumer")
_STATUSES = ("", " ok", " error")


class ConsoleWriter:
    """Prints to what `sys.stdout` is when it prints."""

    def __init__(self, signal: Signal = TRACES) -> None:
        self._signal = signal

    def send(self, body: bytes, count: int, give_up: Callable[[], bool]) -> int:
        """Print `body`. Returns `count`, or 0 where standard output is closed or full."""
        request = json.loads(_native.request_as_json(body, self._signal.name))
        if self._signal is LOGS:
            lines = [
                format_log_record(record, scope["scope"].get("name", "")) + "\n"
                for resource in request["resourceLogs"]
                for scope in resource["scopeLogs"]
                for record in scope["logRecords"]
            ]
        else:
            lines = [
                format_span(span) + "\n"
                for resource in request["resourceSpans"]
                for scope in resource["scopeSpans"]
                for span in scope["spans"]
            ]
        try:
            sys.stdout.write("".join(lines))
            sys.stdout.flush()
        except (OSError, ValueError, AttributeError):  # closed, full, or there is none
            return 0
        return count

    def close(self) -> None:
        """Standard output is not ours to close."""


def format_span(span: dict[str, Any]) -> str:
    """A span of OTLP/JSON as one line: when, how long, what, where it belongs, how it went."""
    start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    status = span.get("status", {})
    parts = [
        _moment(start),
        f"{(end - start) / 1e6:9.3f} ms",
        f"{_KINDS[span.get('kind', 0)]:8}",
        _one_line(span.get("name", "")) + _STATUSES[status.get("code", 0)],
    ]
    if status.get("message"):
        parts.append(f"({_one_line(status['message'])})")
    parts += _attributes(span)
    if span.get("events"):
        parts.append("events=" + ",".join(_one_line(e.get("name", "")) for e in span["events"]))
    parts.append(f"trace={span['traceId']} span={span['spanId']}")
    if "parentSpanId" in span:
        parts.append(f"parent={span['parentSpanId']}")
    return " ".join(parts)


def format_log_record(record: dict[str, Any], logger: str) -> str:
    """A log record of OTLP/JSON as one line: when, how severe, who says what, where it belongs."""
    parts = [
        _moment(int(record["timeUnixNano"])),
        f"{record.get('severityText', ''):8}",
        f"{_one_line(logger)}:",
        _one_line(_plain(record["body"])),
        *_attributes(record),
    ]
    if "traceId" in record:
        parts.append(f"trace={record['traceId']} span={record['spanId']}")
    return " ".join(parts)


def _moment(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).strftime("%H:%M:%S.%f")[:-3]


def _attributes(record: dict[str, Any]) -> list[str]:
    return [
        f"{_one_line(pair['key'])}={_one_line(_plain(pair['value']))}"
        for pair in record.get("attributes", ())
    ]


def _plain(value: dict[str, Any]) -> object:
    for kind, content in value.items():
        if kind == "arrayValue":
            return [_plain(item) for item in content.get("values", ())]
        if kind == "kvlistValue":
            return {pair["key"]: _plain(pair["value"]) for pair in content.get("values", ())}
        return content
    return None


def _one_line(value: object) -> str:
    text = str(value)
    return text if text.isprintable() else repr(text)[1:-1]

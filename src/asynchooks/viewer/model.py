"""What the viewer keeps of spans and log lines, whoever sent them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ("SERVER", "Batch", "LogBatch", "LogLine", "Process", "SpanRecord")

SERVER, CLIENT = 2, 3
ERROR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Who sent spans: an OTLP resource."""

    service: str
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """What tells two processes apart."""
        for key in ("service.instance.id", "process.pid", "host.name"):
            if key in self.attributes:
                return f"{self.service}/{self.attributes[key]}"
        return self.service

    @property
    def dropped(self) -> int:
        """How many spans the process has dropped so far, by its own count."""
        value = self.attributes.get("asynchooks.dropped_spans", 0)
        return value if isinstance(value, int) else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanRecord:
    """One span. Times are in ns since the epoch."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes | None
    name: str
    kind: int
    start: int
    end: int
    status: int
    message: str
    attributes: dict[str, Any]
    events: list[dict[str, Any]]
    links: list[dict[str, Any]]

    @property
    def is_query(self) -> bool:
        return "db.system.name" in self.attributes or "db.system" in self.attributes

    @property
    def is_call(self) -> bool:
        return self.kind == CLIENT and (
            "http.request.method" in self.attributes or "http.method" in self.attributes
        )

    @property
    def log_count(self) -> int:
        return sum(event["name"] == "log" for event in self.events)

    @property
    def is_error(self) -> bool:
        return self.status == ERROR


@dataclass(frozen=True, slots=True)
class Batch:
    """The spans of one process out of one export. `rejected` more had no valid ids."""

    process: Process
    spans: list[SpanRecord]
    rejected: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A log record that was written in a span. The time is in ns since the epoch."""

    trace_id: bytes
    span_id: bytes
    time: int
    message: str
    severity: str
    logger: str
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LogBatch:
    """The lines of one process out of one export, but for those that belong to no span."""

    process: Process
    lines: list[LogLine]

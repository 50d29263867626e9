"""How the records of one signal leave the process, as the environment says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from asynchooks._reporting import report_once
from asynchooks.tracing.environment import (
    DEFAULT_ENDPOINT,
    DEFAULT_INTERVAL,
    DEFAULT_TIMEOUT,
    UNLIMITED,
    VARIABLES,
    pairs,
)
from asynchooks.tracing.signals import TRACES, Signal

if TYPE_CHECKING:
    from asynchooks.tracing.environment import Reader

__all__ = ("ExportConfig", "read_export")

_EXPORTERS = ("otlp", "console", "file", "none")
# What may wait where nobody says how many records: 4 s of a process that is busy with nothing but
# small requests. And where somebody does.
_QUEUE_BYTES = 16 * 1024 * 1024
_MAXIMUM_QUEUE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """Where the records of one signal go, and how many wait.

    Attributes:
        signal: which one.
        endpoint: where they are posted, or None: nowhere.
        timeout: of one attempt to export, in seconds.
        compression: of what is posted: "none" or "gzip", which takes about 1 us a record.
        certificate: a file of the authorities that a receiver's certificate has to come from; "":
            those that the system knows.
        client_certificate, client_key: files of what shows the receiver who we are; "": nothing
            does.
        exporter: "otlp", "console", "file" or "none".
        file: the path of the file exporter.
        queue_size, queue_bytes: how much may wait. What does not fit is dropped, and counted.
        batch_size: records in a batch, at most.
        interval: how long one waits for company, in seconds.
    """

    signal: Signal = TRACES
    endpoint: str | None
    headers: dict[str, str] = field(default_factory=dict)
    timeout: float = DEFAULT_TIMEOUT / 1000
    compression: str = "none"
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""
    exporter: str = "otlp"
    file: str = "traces.jsonl"
    queue_size: int = UNLIMITED
    queue_bytes: int = _QUEUE_BYTES
    batch_size: int = UNLIMITED
    interval: float = DEFAULT_INTERVAL / 1000


def read_export(read: Reader, signal: Signal, *, is_disabled: bool) -> dict[str, Any]:
    """The attributes of an `ExportConfig`."""
    name = signal.name.upper()
    exporter = f"OTEL_{name}_EXPORTER"
    file = f"ASYNCHOOKS_{name}_FILE"
    queue_size = read.count(f"OTEL_{signal.queue}_MAX_QUEUE_SIZE", UNLIMITED, 1)
    batch_size = read.count(f"OTEL_{signal.queue}_MAX_EXPORT_BATCH_SIZE", UNLIMITED, 1)
    chosen = "none" if is_disabled else read.choice(exporter, read(exporter), _EXPORTERS)
    return {
        "signal": signal,
        "endpoint": _endpoint(read, signal) if chosen == "otlp" else None,
        "headers": pairs(read.of(signal, "HEADERS")[1]),
        "timeout": _timeout(read, signal),
        "compression": read.choice(*read.of(signal, "COMPRESSION"), ("none", "gzip")),
        "certificate": read.of(signal, "CERTIFICATE")[1],
        "client_certificate": read.of(signal, "CLIENT_CERTIFICATE")[1],
        "client_key": read.of(signal, "CLIENT_KEY")[1],
        "exporter": chosen,
        "file": read(file) or VARIABLES[file],
        "queue_size": queue_size,
        "queue_bytes": _QUEUE_BYTES if queue_size == UNLIMITED else _MAXIMUM_QUEUE_BYTES,
        "batch_size": min(batch_size, queue_size),
        "interval": read.count(f"OTEL_{signal.queue}_SCHEDULE_DELAY", DEFAULT_INTERVAL) / 1000,
    }


def _endpoint(read: Reader, signal: Signal) -> str | None:
    protocol = read.of(signal, "PROTOCOL")
    read.choice(*protocol, ("http/protobuf",))
    endpoint = read(f"OTEL_EXPORTER_OTLP_{signal.name.upper()}_ENDPOINT")
    if not endpoint:
        base = read("OTEL_EXPORTER_OTLP_ENDPOINT") or DEFAULT_ENDPOINT
        endpoint = f"{base.rstrip('/')}/v1/{signal.name}"
    try:
        parts = urlsplit(endpoint)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # raises where it is not a number
    except ValueError:
        valid = False
    if not valid:
        report_once(
            "tracing.endpoint",
            "asynchooks exports nothing: the OTLP endpoint is %r, expected a URL like %s",
            endpoint,
            DEFAULT_ENDPOINT,
        )
        return None
    return endpoint


def _timeout(read: Reader, signal: Signal) -> float:
    name, _ = read.of(signal, "TIMEOUT")
    return (read.number(name, float, "milliseconds") or DEFAULT_TIMEOUT) / 1000

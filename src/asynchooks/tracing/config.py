"""What the standard `OTEL_*` variables say, read once when tracing is installed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from asynchooks._program import program_name
from asynchooks._reporting import report_once

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("DEFAULT_ENDPOINT", "Config")

# Where `asynchooks view` listens.
DEFAULT_ENDPOINT = "http://127.0.0.1:4318"
# OpenTelemetry's name for a service that has none.
UNKNOWN_SERVICE = "unknown_service:python"
_DEFAULT_TIMEOUT = 5.0
_EXPORTERS = ("otlp", "console", "file", "none")
_COMPRESSIONS = ("gzip", "none")
# At 1 KiB a span, what waits for a dead receiver stays below 10 MiB.
_DEFAULT_QUEUE = 8192
_DEFAULT_BATCH = 512
# How long a span waits for company, in ms: short, since somebody watches the page.
_DEFAULT_INTERVAL = 200
_DEFAULT_FILE = "traces.jsonl"
# Of each limit of a span: OpenTelemetry's default (but for values, which it leaves unlimited), and
# the variables that say another, the first that is set.
_ATTRIBUTES = "OTEL_ATTRIBUTE_COUNT_LIMIT"
_VALUES = "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"
_LIMITS = {
    "attributes": (128, ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", _ATTRIBUTES)),
    "events": (128, ("OTEL_SPAN_EVENT_COUNT_LIMIT",)),
    "links": (128, ("OTEL_SPAN_LINK_COUNT_LIMIT",)),
    "event_attributes": (128, ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", _ATTRIBUTES)),
    "link_attributes": (128, ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", _ATTRIBUTES)),
    "value_length": (16 * 1024, ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", _VALUES)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Where spans go and how this process is called.

    Attributes:
        endpoint: the URL that OTLP is posted to, or None.
        timeout: of one attempt, in seconds.
        given_name: the service's name where the environment says one.
        exporter: "otlp", "console", "file" or "none".
        file: the path of the file exporter.
        queue_size, queue_bytes: how much may wait. What does not fit is dropped, and counted.
        batch_size: spans in a batch.
        interval: how long a span waits for company, in seconds.
        limits: how much a span may hold, for `_native.set_span_limits`.
    """

    endpoint: str | None
    headers: dict[str, str] = field(default_factory=dict)
    timeout: float = _DEFAULT_TIMEOUT
    compression: str = "gzip"
    exporter: str = "otlp"
    file: str = _DEFAULT_FILE
    queue_size: int = _DEFAULT_QUEUE
    queue_bytes: int = 32 * 1024 * 1024
    batch_size: int = _DEFAULT_BATCH
    interval: float = _DEFAULT_INTERVAL / 1000
    limits: dict[str, int] = field(default_factory=dict)
    given_name: str = ""
    resource_attributes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Config:
        """Read the environment. A value that makes no sense is reported and its default used."""
        resource = _pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""))
        resource_name = resource.pop("service.name", "")
        service = environment.get("OTEL_SERVICE_NAME") or resource_name
        headers = environment.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS") or environment.get(
            "OTEL_EXPORTER_OTLP_HEADERS", ""
        )
        disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
        exporter = _one_of(environment, ("OTEL_TRACES_EXPORTER",), _EXPORTERS)
        compression = _one_of(
            environment,
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"),
            _COMPRESSIONS,
        )
        queue_size = _number(environment, ("OTEL_BSP_MAX_QUEUE_SIZE",), _DEFAULT_QUEUE, 1)
        batch_size = _number(environment, ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE",), _DEFAULT_BATCH, 1)
        interval = _number(environment, ("OTEL_BSP_SCHEDULE_DELAY",), _DEFAULT_INTERVAL, 0)
        limits = {
            name: _number(environment, names, default, 0)
            for name, (default, names) in _LIMITS.items()
        }
        return cls(
            endpoint=None if disabled else _endpoint(environment),
            headers=_pairs(headers),
            timeout=_timeout(environment),
            compression=compression,
            exporter="none" if disabled else exporter,
            file=environment.get("ASYNCHOOKS_TRACES_FILE") or _DEFAULT_FILE,
            queue_size=queue_size,
            batch_size=min(batch_size, queue_size),
            interval=interval / 1000,
            limits=limits,
            given_name=service,
            resource_attributes=resource,
        )

    @property
    def service_name(self) -> str:
        """What the service is called, at the latest by its command. Worked out anew each time: a
        process that multiprocessing has spawned learns its command line some time after its start.
        """
        return self.given_name or program_name() or UNKNOWN_SERVICE


def _endpoint(environment: Mapping[str, str]) -> str | None:
    endpoint = environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
    if not endpoint:
        base = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip() or DEFAULT_ENDPOINT
        endpoint = base.rstrip("/") + "/v1/traces"
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


def _timeout(environment: Mapping[str, str]) -> float:
    """OpenTelemetry's variable is in milliseconds."""
    text = environment.get("OTEL_EXPORTER_OTLP_TIMEOUT", "").strip()
    try:
        seconds = float(text) / 1000 if text else _DEFAULT_TIMEOUT
    except ValueError:
        seconds = 0.0
    if 0 < seconds < float("inf"):
        return seconds
    report_once(
        "tracing.timeout",
        "OTEL_EXPORTER_OTLP_TIMEOUT is %r, expected milliseconds; using %d",
        text,
        _DEFAULT_TIMEOUT * 1000,
    )
    return _DEFAULT_TIMEOUT


def _said(environment: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    """The first of these variables that says something, and what it says."""
    for name in names:
        text = environment.get(name, "").strip()
        if text:
            return name, text
    return names[0], ""


def _one_of(
    environment: Mapping[str, str], names: tuple[str, ...], choices: tuple[str, ...]
) -> str:
    """What one of these variables says, or the first choice."""
    name, text = _said(environment, names)
    if not text or text.lower() in choices:
        return text.lower() or choices[0]
    report_once(
        f"tracing.{name}",
        "%s is %r, expected one of %s; using %s",
        name,
        text,
        ", ".join(choices),
        choices[0],
    )
    return choices[0]


def _number(
    environment: Mapping[str, str], names: tuple[str, ...], default: int, minimum: int
) -> int:
    """What one of these variables says, or the default."""
    name, text = _said(environment, names)
    if not text:
        return default
    if text.isascii() and text.isdecimal() and minimum <= int(text[:20]) < 1 << 31:
        return int(text)
    report_once(
        f"tracing.{name}",
        "%s is %r, expected a number from %d to 2147483647; it is ignored",
        name,
        text,
        minimum,
    )
    return default


def _pairs(text: str) -> dict[str, str]:
    """`key=value,key=value`, percent-encoded, as W3C baggage writes it."""
    pairs = (item.partition("=") for item in text.split(",") if "=" in item)
    return {unquote(key.strip()): unquote(value.strip()) for key, _, value in pairs}

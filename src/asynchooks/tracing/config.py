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


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Where spans go and how this process is called. `timeout` is in seconds; `given_name` is the
    service's name where the environment says one."""

    endpoint: str | None
    headers: dict[str, str] = field(default_factory=dict)
    timeout: float = _DEFAULT_TIMEOUT
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
        return cls(
            endpoint=None if disabled else _endpoint(environment),
            headers=_pairs(headers),
            timeout=_timeout(environment),
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


def _pairs(text: str) -> dict[str, str]:
    """`key=value,key=value`, percent-encoded, as W3C baggage writes it."""
    pairs = (item.partition("=") for item in text.split(",") if "=" in item)
    return {unquote(key.strip()): unquote(value.strip()) for key, _, value in pairs}

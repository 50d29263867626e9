"""The variables that are read, and how: an empty one counts as not set; a value that makes no sense
is reported once, and the default used, as OpenTelemetry's specification says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from asynchooks._reporting import report_once
from asynchooks.tracing.propagation import DEFAULT_PROPAGATORS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    from asynchooks.tracing.signals import Signal

    T = TypeVar("T")

__all__ = (
    "DEFAULT_COUNT",
    "DEFAULT_ENDPOINT",
    "VARIABLES",
    "Reader",
    "names",
    "pairs",
)

# Where `asynchooks view` listens.
DEFAULT_ENDPOINT = "http://127.0.0.1:4318"
DEFAULT_TIMEOUT = 10_000
# Where nobody says how many records may wait, or be in one request, bytes alone count.
UNLIMITED = (1 << 31) - 1
# How long a record waits for company, in ms: short, since somebody watches the page.
DEFAULT_INTERVAL = 200
# How much one record may hold: OpenTelemetry's defaults, and one for values, which it leaves
# unlimited.
DEFAULT_COUNT = 128
DEFAULT_LENGTH = 16 * 1024

# Every variable that is read, with its default. docs/configuration.md explains them.
VARIABLES = {
    "OTEL_SDK_DISABLED": "false",
    "OTEL_SERVICE_NAME": "",
    "OTEL_RESOURCE_ATTRIBUTES": "",
    "OTEL_TRACES_EXPORTER": "otlp",
    "ASYNCHOOKS_TRACES_FILE": "traces.jsonl",
    "OTEL_BSP_MAX_QUEUE_SIZE": "",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "",
    "OTEL_BSP_SCHEDULE_DELAY": str(DEFAULT_INTERVAL),
    "OTEL_EXPORTER_OTLP_ENDPOINT": DEFAULT_ENDPOINT,
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "",
    "OTEL_EXPORTER_OTLP_HEADERS": "",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "",
    "OTEL_EXPORTER_OTLP_TIMEOUT": str(DEFAULT_TIMEOUT),
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "",
    "OTEL_EXPORTER_OTLP_CERTIFICATE": "",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": "",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE": "",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": "",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY": "",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "",
    "ASYNCHOOKS_LOGS_FILE": "logs.jsonl",
    "OTEL_BLRP_MAX_QUEUE_SIZE": "",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "",
    "OTEL_BLRP_SCHEDULE_DELAY": str(DEFAULT_INTERVAL),
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "",
    "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "",
    "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "",
    "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION": "",
    "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE": "",
    "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE": "",
    "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY": "",
    "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "",
    "OTEL_TRACES_SAMPLER": "parentbased_always_on",
    "OTEL_TRACES_SAMPLER_ARG": "1.0",
    "OTEL_PROPAGATORS": ",".join(DEFAULT_PROPAGATORS),
    "OTEL_ATTRIBUTE_COUNT_LIMIT": str(DEFAULT_COUNT),
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": str(DEFAULT_LENGTH),
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "",
    "OTEL_SPAN_EVENT_COUNT_LIMIT": str(DEFAULT_COUNT),
    "OTEL_SPAN_LINK_COUNT_LIMIT": str(DEFAULT_COUNT),
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": "",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": "",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT": "",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": "",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST": "",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE": "",
    "ASYNCHOOKS_CAPTURE_QUERY_PARAMETERS": "false",
    "ASYNCHOOKS_TAIL_KEEP_ONE_IN": "",
    "ASYNCHOOKS_TAIL_SLOW_MS": "",
    "ASYNCHOOKS_TRACES_PER_SECOND": "",
}

_OF_ONE_SIGNAL = re.compile("_(?:TRACES|LOGS)_")


class Reader:
    """Reads variables, and reports those that make no sense."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def __call__(self, name: str) -> str:
        """The value, or ""."""
        return self._environment.get(name, "").strip()

    def of(self, signal: Signal, suffix: str) -> tuple[str, str]:
        """The variable that says this of the export of a signal, if it is set, else that of all
        signals, and its value."""
        name = f"OTEL_EXPORTER_OTLP_{signal.name.upper()}_{suffix}"
        if not self(name):
            name = f"OTEL_EXPORTER_OTLP_{suffix}"
        return name, self(name)

    def choice(self, name: str, value: str, known: Sequence[str]) -> str:
        """`value`, in lower case, or the default where it is not one of the known ones."""
        if value.lower() in known:
            return value.lower()
        return self._default(name, value, f"one of {', '.join(known)}")

    def number(self, name: str, kind: Callable[[str], T], expected: str) -> T | None:
        """The positive number that a variable holds, or None."""
        text = self(name)
        if not text:
            return None
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is not None and 0 < value < float("inf"):  # type: ignore[operator] # int or float
            return value
        self._default(name, text, expected)
        return None

    def count(self, name: str, default: int, minimum: int = 0) -> int:
        """The number from `minimum` on that a variable holds, or `default`."""
        text = self(name)
        if not text:
            return default
        if text.isascii() and text.isdecimal() and minimum <= int(text[:20]) < 1 << 31:
            return int(text)
        used = "none" if default == UNLIMITED else str(default)
        self.report(name, text, f"a number from {minimum} to 2147483647", used)
        return default

    def _default(self, name: str, value: str, expected: str) -> str:
        default = VARIABLES[name] or VARIABLES.get(_OF_ONE_SIGNAL.sub("_", name), "")
        if value:
            self.report(name, value, expected, default or "none")
        return default

    def report(self, name: str, value: str, expected: str, used: str) -> None:
        report_once(
            f"tracing.{name}", "%s is %r, expected %s; using %s", name, value, expected, used
        )


def names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def pairs(text: str) -> dict[str, str]:
    """`key=value,key=value`, percent-encoded, as W3C baggage writes it."""
    pairs = (item.partition("=") for item in text.split(",") if "=" in item)
    return {unquote(key.strip()): unquote(value.strip()) for key, _, value in pairs}

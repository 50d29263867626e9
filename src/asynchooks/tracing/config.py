"""What the environment says: the standard `OTEL_*` variables, and the few of ours, read once when
tracing is installed.

A value that makes no sense is reported once, and the default used, as OpenTelemetry's
specification says. An empty variable counts as not set.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from asynchooks._program import program_name
from asynchooks._reporting import report_once
from asynchooks.tracing.propagation import DEFAULT_PROPAGATORS, PROPAGATORS
from asynchooks.tracing.sampling import DEFAULT_SAMPLER, SAMPLERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    from asynchooks.tracing.sampling import Sampler

    T = TypeVar("T")

__all__ = ("DEFAULT_ENDPOINT", "VARIABLES", "Config", "disabled_instrumentations")

# Where `asynchooks view` listens.
DEFAULT_ENDPOINT = "http://127.0.0.1:4318"
# OpenTelemetry's name for a service that has none.
UNKNOWN_SERVICE = "unknown_service:python"
_DEFAULT_TIMEOUT = 10_000
_EXPORTERS = ("otlp", "console", "file", "none")
# Where nobody says how many spans may wait, or be in one request, bytes alone count.
_UNLIMITED = (1 << 31) - 1
_DEFAULT_QUEUE_BYTES = 16 * 1024 * 1024
# How long a span waits for company, in ms: short, since somebody watches the page.
_DEFAULT_INTERVAL = 200
_DEFAULT_FILE = "traces.jsonl"
# How much one span may hold: OpenTelemetry's defaults, and one for values, which it leaves
# unlimited.
_DEFAULT_COUNT = 128
_DEFAULT_LENGTH = 16 * 1024

# Every variable that is read, with its default. docs/configuration.md explains them.
VARIABLES = {
    "OTEL_SDK_DISABLED": "false",
    "OTEL_SERVICE_NAME": "",
    "OTEL_RESOURCE_ATTRIBUTES": "",
    "OTEL_TRACES_EXPORTER": "otlp",
    "ASYNCHOOKS_TRACES_FILE": _DEFAULT_FILE,
    "OTEL_BSP_MAX_QUEUE_SIZE": "",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "",
    "OTEL_BSP_SCHEDULE_DELAY": str(_DEFAULT_INTERVAL),
    "OTEL_EXPORTER_OTLP_ENDPOINT": DEFAULT_ENDPOINT,
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "",
    "OTEL_EXPORTER_OTLP_HEADERS": "",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "",
    "OTEL_EXPORTER_OTLP_TIMEOUT": str(_DEFAULT_TIMEOUT),
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
    "OTEL_TRACES_SAMPLER": "parentbased_always_on",
    "OTEL_TRACES_SAMPLER_ARG": "1.0",
    "OTEL_PROPAGATORS": ",".join(DEFAULT_PROPAGATORS),
    "OTEL_ATTRIBUTE_COUNT_LIMIT": str(_DEFAULT_COUNT),
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": str(_DEFAULT_LENGTH),
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "",
    "OTEL_SPAN_EVENT_COUNT_LIMIT": str(_DEFAULT_COUNT),
    "OTEL_SPAN_LINK_COUNT_LIMIT": str(_DEFAULT_COUNT),
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": "",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": "",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": "",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST": "",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE": "",
    "ASYNCHOOKS_TAIL_KEEP_ONE_IN": "",
    "ASYNCHOOKS_TAIL_SLOW_MS": "",
    "ASYNCHOOKS_TRACES_PER_SECOND": "",
}

_CAPTURE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What is recorded, where it goes, and how this process is called.

    Attributes:
        is_disabled: nothing is recorded, and OpenTelemetry's API finds no provider of ours.
        endpoint: where spans are posted, or None: nowhere.
        timeout: of one attempt to export, in seconds.
        compression: of what is posted: "none" or "gzip", which takes about 1 us a span.
        certificate: a file of the authorities that the receiver's certificate is checked by; "":
            the system's.
        client_certificate, client_key: files of what we show the receiver; "": nothing.
        given_name: the service's name where the environment says one.
        sampler: which traces are recorded.
        propagators: the formats of headers.
        limits: how much a span may hold, for `_native.set_span_limits`.
        exporter: "otlp", "console", "file" or "none".
        file: the path of the file exporter.
        queue_size, queue_bytes: how much may wait. What does not fit is dropped, and counted.
        batch_size: spans in a batch, at most.
        interval: how long a span waits for company, in seconds.
        tail_keep_one_in: of requests that are neither failed nor slow, one in so many is kept, by
            a decision at their end; None: there is no such decision.
        tail_slow: from how many seconds on a request is slow; None: from its route's 99th
            percentile on.
        traces_per_second: no more are recorded than so many; None: no limit.
        captured_headers: names in lower case, by "server_request", "server_response",
            "client_request", "client_response".
    """

    is_disabled: bool = False
    endpoint: str | None
    headers: dict[str, str] = field(default_factory=dict)
    timeout: float = _DEFAULT_TIMEOUT / 1000
    compression: str = "none"
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""
    given_name: str = ""
    resource_attributes: dict[str, str] = field(default_factory=dict)
    sampler: Sampler = DEFAULT_SAMPLER
    propagators: tuple[str, ...] = DEFAULT_PROPAGATORS
    limits: dict[str, int] = field(default_factory=lambda: _limits(_Reader({})))
    exporter: str = "otlp"
    file: str = _DEFAULT_FILE
    queue_size: int = _UNLIMITED
    queue_bytes: int = _DEFAULT_QUEUE_BYTES
    batch_size: int = _UNLIMITED
    interval: float = _DEFAULT_INTERVAL / 1000
    tail_keep_one_in: int | None = None
    tail_slow: float | None = None
    traces_per_second: float | None = None
    captured_headers: dict[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Config:
        """Read the environment."""
        read = _Reader(environment)
        resource = _pairs(read("OTEL_RESOURCE_ATTRIBUTES"))
        resource_name = resource.pop("service.name", "")
        is_disabled = read("OTEL_SDK_DISABLED").lower() == "true"
        queue_size = read.count("OTEL_BSP_MAX_QUEUE_SIZE", _UNLIMITED, 1)
        batch_size = read.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", _UNLIMITED, 1)
        exporter = read.choice("OTEL_TRACES_EXPORTER", read("OTEL_TRACES_EXPORTER"), _EXPORTERS)
        slow = read.number("ASYNCHOOKS_TAIL_SLOW_MS", float, "milliseconds")
        return cls(
            is_disabled=is_disabled,
            endpoint=None if is_disabled else _endpoint(read),
            exporter="none" if is_disabled else exporter,
            file=read("ASYNCHOOKS_TRACES_FILE") or _DEFAULT_FILE,
            queue_size=queue_size,
            batch_size=min(batch_size, queue_size),
            interval=read.count("OTEL_BSP_SCHEDULE_DELAY", _DEFAULT_INTERVAL) / 1000,
            headers=_pairs(read.of_traces("HEADERS")),
            timeout=_timeout(read),
            compression=read.choice(*read.name_of_traces("COMPRESSION"), ("none", "gzip")),
            certificate=read.of_traces("CERTIFICATE"),
            client_certificate=read.of_traces("CLIENT_CERTIFICATE"),
            client_key=read.of_traces("CLIENT_KEY"),
            given_name=read("OTEL_SERVICE_NAME") or resource_name,
            resource_attributes=resource,
            sampler=_sampler(read),
            propagators=_propagators(read),
            limits=_limits(read),
            tail_keep_one_in=read.number("ASYNCHOOKS_TAIL_KEEP_ONE_IN", int, "a number from 1 on"),
            tail_slow=None if slow is None else slow / 1000,
            traces_per_second=read.number("ASYNCHOOKS_TRACES_PER_SECOND", float, "a number"),
            captured_headers={
                name.removeprefix(_CAPTURE).lower(): frozenset(_names(read(name).lower()))
                for name in VARIABLES
                if name.startswith(_CAPTURE)
            },
        )

    @property
    def service_name(self) -> str:
        """What the service is called, at the latest by its command. Worked out anew each time: a
        process that multiprocessing has spawned learns its command line some time after its start.
        """
        return self.given_name or program_name() or UNKNOWN_SERVICE


def disabled_instrumentations(environment: Mapping[str, str] = os.environ) -> frozenset[str]:
    """The libraries that `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` names; "*" is all of them."""
    return frozenset(_names(environment.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")))


class _Reader:
    """Reads variables, and reports those that make no sense."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def __call__(self, name: str) -> str:
        """The value, or ""."""
        return self._environment.get(name, "").strip()

    def name_of_traces(self, suffix: str) -> tuple[str, str]:
        """The variable that says this of the export of traces, if it is set, else that of all
        signals, and its value."""
        name = f"OTEL_EXPORTER_OTLP_TRACES_{suffix}"
        if not self(name):
            name = f"OTEL_EXPORTER_OTLP_{suffix}"
        return name, self(name)

    def of_traces(self, suffix: str) -> str:
        return self.name_of_traces(suffix)[1]

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
        self.report(name, text, f"a number from {minimum} to 2147483647", str(default))
        return default

    def _default(self, name: str, value: str, expected: str) -> str:
        default = VARIABLES[name] or VARIABLES.get(name.replace("_TRACES_", "_"), "")
        if value:
            self.report(name, value, expected, default or "none")
        return default

    def report(self, name: str, value: str, expected: str, used: str) -> None:
        report_once(
            f"tracing.{name}", "%s is %r, expected %s; using %s", name, value, expected, used
        )


def _endpoint(read: _Reader) -> str | None:
    protocol = read.name_of_traces("PROTOCOL")
    read.choice(*protocol, ("http/protobuf",))
    endpoint = read("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    if not endpoint:
        base = read("OTEL_EXPORTER_OTLP_ENDPOINT") or DEFAULT_ENDPOINT
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


def _timeout(read: _Reader) -> float:
    name, _ = read.name_of_traces("TIMEOUT")
    return (read.number(name, float, "milliseconds") or _DEFAULT_TIMEOUT) / 1000


def _sampler(read: _Reader) -> Sampler:
    name = read.choice("OTEL_TRACES_SAMPLER", read("OTEL_TRACES_SAMPLER"), tuple(SAMPLERS))
    ratio = 1.0
    text = read("OTEL_TRACES_SAMPLER_ARG")
    if text and name.endswith("traceidratio"):
        try:
            ratio = float(text)
        except ValueError:
            ratio = -1.0
        if not 0.0 <= ratio <= 1.0:
            read.report("OTEL_TRACES_SAMPLER_ARG", text, "a number from 0 to 1", "1.0")
            ratio = 1.0
    return SAMPLERS[name](ratio)


def _propagators(read: _Reader) -> tuple[str, ...]:
    names = _names(read("OTEL_PROPAGATORS")) or DEFAULT_PROPAGATORS
    unknown = [name for name in names if name not in PROPAGATORS and name != "none"]
    if unknown:
        expected = f"some of {', '.join(PROPAGATORS)}, or none"
        read.report("OTEL_PROPAGATORS", ",".join(unknown), expected, "the others")
    return tuple(name for name in dict.fromkeys(names) if name in PROPAGATORS)


def _limits(read: _Reader) -> dict[str, int]:
    count = read.count
    attributes = count("OTEL_ATTRIBUTE_COUNT_LIMIT", _DEFAULT_COUNT)
    length = count("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", _DEFAULT_LENGTH)
    return {
        "attributes": count("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", attributes),
        "value_length": count("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", length),
        "events": count("OTEL_SPAN_EVENT_COUNT_LIMIT", _DEFAULT_COUNT),
        "links": count("OTEL_SPAN_LINK_COUNT_LIMIT", _DEFAULT_COUNT),
        "event_attributes": count("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", attributes),
        "link_attributes": count("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", attributes),
    }


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _pairs(text: str) -> dict[str, str]:
    """`key=value,key=value`, percent-encoded, as W3C baggage writes it."""
    pairs = (item.partition("=") for item in text.split(",") if "=" in item)
    return {unquote(key.strip()): unquote(value.strip()) for key, _, value in pairs}

"""What the environment says: the standard `OTEL_*` variables, and the few of ours, read once when
tracing is installed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asynchooks._program import program_name
from asynchooks.tracing.environment import (
    DEFAULT_COUNT,
    DEFAULT_ENDPOINT,
    DEFAULT_LENGTH,
    VARIABLES,
    Reader,
    names,
    pairs,
)
from asynchooks.tracing.export_config import ExportConfig, read_export
from asynchooks.tracing.propagation import DEFAULT_PROPAGATORS, PROPAGATORS
from asynchooks.tracing.sampling import DEFAULT_SAMPLER, SAMPLERS
from asynchooks.tracing.signals import LOGS, TRACES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynchooks.tracing.sampling import Sampler

__all__ = ("DEFAULT_ENDPOINT", "VARIABLES", "Config", "disabled_instrumentations")

# OpenTelemetry's name for a service that has none.
UNKNOWN_SERVICE = "unknown_service:python"
_CAPTURE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ExportConfig):
    """What is recorded, where spans go, and how this process is called.

    Attributes:
        is_disabled: nothing is recorded, and OpenTelemetry's API finds no provider of ours.
        logs: where log records go; their `exporter` is "none" unless the environment asks for them.
        given_name: the service's name where the environment says one.
        sampler: which traces are recorded.
        propagators: the formats of headers.
        limits: how much a span may hold, for `_native.set_span_limits`.
        tail_keep_one_in: of requests that are neither failed nor slow, one in so many is kept, by
            a decision at their end; None: there is no such decision.
        tail_slow: from how many seconds on a request is slow; None: from its route's 99th
            percentile on.
        traces_per_second: no more are recorded than so many; None: no limit.
        captured_headers: names in lower case, by "server_request", "server_response",
            "client_request", "client_response".
        captures_query_parameters: whether the values of queries' parameters are recorded.
    """

    is_disabled: bool = False
    logs: ExportConfig = field(
        default_factory=lambda: ExportConfig(signal=LOGS, endpoint=None, exporter="none")
    )
    given_name: str = ""
    resource_attributes: dict[str, str] = field(default_factory=dict)
    sampler: Sampler = DEFAULT_SAMPLER
    propagators: tuple[str, ...] = DEFAULT_PROPAGATORS
    limits: dict[str, int] = field(default_factory=lambda: _limits(Reader({})))
    tail_keep_one_in: int | None = None
    tail_slow: float | None = None
    traces_per_second: float | None = None
    captured_headers: dict[str, frozenset[str]] = field(default_factory=dict)
    captures_query_parameters: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Config:
        """Read the environment."""
        read = Reader(environment)
        resource = pairs(read("OTEL_RESOURCE_ATTRIBUTES"))
        resource_name = resource.pop("service.name", "")
        is_disabled = read("OTEL_SDK_DISABLED").lower() == "true"
        switch = read("OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED").lower()
        logs = read_export(read, LOGS, is_disabled=is_disabled or switch == "false")
        slow = read.number("ASYNCHOOKS_TAIL_SLOW_MS", float, "milliseconds")
        return cls(
            is_disabled=is_disabled,
            **read_export(read, TRACES, is_disabled=is_disabled),
            logs=ExportConfig(**logs),
            given_name=read("OTEL_SERVICE_NAME") or resource_name,
            resource_attributes=resource,
            sampler=_sampler(read),
            propagators=_propagators(read),
            limits=_limits(read),
            tail_keep_one_in=read.number("ASYNCHOOKS_TAIL_KEEP_ONE_IN", int, "a number from 1 on"),
            tail_slow=None if slow is None else slow / 1000,
            traces_per_second=read.number("ASYNCHOOKS_TRACES_PER_SECOND", float, "a number"),
            captured_headers={
                name.removeprefix(_CAPTURE).lower(): frozenset(names(read(name).lower()))
                for name in VARIABLES
                if name.startswith(_CAPTURE)
            },
            captures_query_parameters=read("ASYNCHOOKS_CAPTURE_QUERY_PARAMETERS").lower() == "true",
        )

    @property
    def service_name(self) -> str:
        """What the service is called, at the latest by its command. Worked out anew each time: a
        process that multiprocessing has spawned learns its command line some time after its start.
        """
        return self.given_name or program_name() or UNKNOWN_SERVICE


def disabled_instrumentations(environment: Mapping[str, str] = os.environ) -> frozenset[str]:
    """The libraries that `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` names; "*" is all of them."""
    return frozenset(names(environment.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")))


def _sampler(read: Reader) -> Sampler:
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


def _propagators(read: Reader) -> tuple[str, ...]:
    named = names(read("OTEL_PROPAGATORS")) or DEFAULT_PROPAGATORS
    unknown = [name for name in named if name not in PROPAGATORS and name != "none"]
    if unknown:
        expected = f"some of {', '.join(PROPAGATORS)}, or none"
        read.report("OTEL_PROPAGATORS", ",".join(unknown), expected, "the others")
    return tuple(name for name in dict.fromkeys(named) if name in PROPAGATORS)


def _limits(read: Reader) -> dict[str, int]:
    count = read.count
    attributes = count("OTEL_ATTRIBUTE_COUNT_LIMIT", DEFAULT_COUNT)
    length = count("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", DEFAULT_LENGTH)
    return {
        "attributes": count("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", attributes),
        "value_length": count("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", length),
        "events": count("OTEL_SPAN_EVENT_COUNT_LIMIT", DEFAULT_COUNT),
        "links": count("OTEL_SPAN_LINK_COUNT_LIMIT", DEFAULT_COUNT),
        "event_attributes": count("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", attributes),
        "link_attributes": count("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", attributes),
        "log_attributes": count("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", attributes),
    }

"""Spans without an exporter: those that ended, in a list, or as what they are encoded to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from asynchooks import _native
from asynchooks.tracing import Span, set_sink

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@pytest.fixture
def ended() -> Iterator[list[Span]]:
    """Every span that has ended, in that order."""
    spans: list[Span] = []
    set_sink(spans.append)
    yield spans
    set_sink(None)


class Encoded:
    """What spans that end are encoded to, read with OpenTelemetry's own generated code."""

    def __init__(self) -> None:
        self.starts = 0
        self.buffer = _native.ExportBuffer(
            start=self._start,
            scope=_native.encode_scope("asynchooks", "1.2.3"),
            capacity=100_000,
            byte_limit=1 << 30,
            batch=100_000,
        )

    def _start(self) -> None:
        self.starts += 1

    def body(self, resource: Mapping[str, Any] | None = None) -> bytes:
        """The request of all that have ended since the last time."""
        taken = self.buffer.take(_native.encode_resource(resource or {}))
        assert taken is not None
        self.buffer.settle(taken[0], 0)
        return taken[1]

    def request(self, resource: Mapping[str, Any] | None = None) -> Any:
        return ExportTraceServiceRequest.FromString(self.body(resource))

    def spans(self) -> list[Any]:
        (resource_spans,) = self.request().resource_spans
        return [span for scope in resource_spans.scope_spans for span in scope.spans]

    def span(self) -> Any:
        (span,) = self.spans()
        return span


@pytest.fixture
def encoded() -> Iterator[Encoded]:
    encoded = Encoded()
    _native.set_span_buffer(encoded.buffer)
    yield encoded
    _native.set_span_buffer(None)

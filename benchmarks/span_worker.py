"""One tracer, in a process of its own: `python -m benchmarks.span_worker TRACER`.

Reads the name of a workload for each measurement, and writes the CPU time of one span in ns, of all
threads. Needs nothing but the tracer, so that ddtrace may run in an environment of its own.
"""

from __future__ import annotations

import gc
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Workloads = dict[str, Callable[[int], None]]

__all__ = ("main",)

NAME = "GET /orders/{order_id}"
# What every workload sets, one call each.
METHOD, PATH, ROUTE, PORT, STATUS = "GET", "/orders/7", "/orders/{order_id}", 8080, 200
ATTRIBUTES: dict[str, str | int] = {
    "http.request.method": METHOD,
    "url.path": PATH,
    "http.route": ROUTE,
    "server.port": PORT,
    "http.response.status_code": STATUS,
}
COUNT = 2000  # spans in a measurement


class Inert:
    """The calls alone: methods in C that do next to nothing, as often as a span's are called."""

    def __init__(self) -> None:
        empty: dict[str, Any] = {}
        start = nothing = empty.get

        def five(count: int) -> None:
            for _ in range(count):
                start(NAME)
                nothing("http.request.method", METHOD)
                nothing("url.path", PATH)
                nothing("http.route", ROUTE)
                nothing("server.port", PORT)
                nothing("http.response.status_code", STATUS)
                nothing(NAME)

        self.workloads: Workloads = {"calls alone": five}


class Asynchooks:
    """To the bytes of a whole ExportTraceServiceRequest."""

    def __init__(self) -> None:
        from asynchooks import _native, sites
        from asynchooks.tracing import Span, SpanContext, start_span, use_span

        sites.configure()
        buffer = _native.ExportBuffer(
            start=lambda: None,
            scope=_native.encode_scope("bench"),
            capacity=COUNT,
            byte_limit=1 << 30,
            batch=512,
        )
        _native.set_span_buffer(buffer)
        resource = _native.encode_resource({"service.name": "bench"})
        unsampled = Span("request", parent=SpanContext(1, 2, trace_flags=0))

        def five(count: int) -> None:
            for _ in range(count):
                span = start_span(NAME)
                span.set_attribute("http.request.method", METHOD)
                span.set_attribute("url.path", PATH)
                span.set_attribute("http.route", ROUTE)
                span.set_attribute("server.port", PORT)
                span.set_attribute("http.response.status_code", STATUS)
                span.end()

        def at_start(count: int) -> None:
            for _ in range(count):
                start_span(NAME, attributes=ATTRIBUTES).end()

        def to_bytes(work: Callable[[int], None], count: int) -> None:
            work(count)
            exported = 0
            while (taken := buffer.take(resource)) is not None:
                buffer.settle(taken[0], 0)
                exported += taken[0]
            assert exported == count

        def not_sampled(work: Callable[[int], None], count: int) -> None:
            with use_span(unsampled):
                work(count)

        self.workloads: Workloads = {
            "five attributes": partial(to_bytes, five),
            "not sampled": partial(not_sampled, five),
            "attributes at the start": partial(to_bytes, at_start),
            "attributes at the start, not sampled": partial(not_sampled, at_start),
        }


class OpenTelemetry:
    """The SDK's batch processor, and an exporter that encodes, and sends nothing."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
        from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

        exported = 0

        class Encoder:
            def export(self, spans: Any) -> SpanExportResult:
                nonlocal exported
                exported += len(spans)
                encode_spans(spans).SerializeToString()
                return SpanExportResult.SUCCESS

            def shutdown(self) -> None:
                pass

            def force_flush(self, timeout_millis: int = 0) -> bool:
                return True

        resource = Resource({"service.name": "bench"})
        provider = TracerProvider(resource=resource)
        encoder: Any = Encoder()
        provider.add_span_processor(
            BatchSpanProcessor(encoder, max_queue_size=COUNT, max_export_batch_size=512)
        )
        tracer = provider.get_tracer("bench")
        quiet = TracerProvider(resource=resource, sampler=ALWAYS_OFF).get_tracer("bench")

        def five(tracer: Any, count: int) -> None:
            for _ in range(count):
                span = tracer.start_span(NAME)
                span.set_attribute("http.request.method", METHOD)
                span.set_attribute("url.path", PATH)
                span.set_attribute("http.route", ROUTE)
                span.set_attribute("server.port", PORT)
                span.set_attribute("http.response.status_code", STATUS)
                span.end()

        def to_bytes(count: int) -> None:
            nonlocal exported
            exported = 0
            five(tracer, count)
            provider.force_flush()
            assert exported == count

        self.workloads: Workloads = {
            "five attributes": to_bytes,
            "not sampled": lambda count: five(quiet, count),
        }


class Ddtrace:
    """A filter drops each trace when it is whole, before anything is encoded."""

    def __init__(self) -> None:
        from ddtrace.trace import (  # type: ignore[import-not-found, unused-ignore]
            TraceFilter,
            tracer,
        )

        class Drop(TraceFilter):  # type: ignore[misc, unused-ignore]
            def process_trace(self, trace: Any) -> None:
                return None

        tracer.configure(trace_processors=[Drop()])

        def five(count: int) -> None:
            for _ in range(count):
                span = tracer.start_span(NAME)
                span.set_tag("http.request.method", METHOD)
                span.set_tag("url.path", PATH)
                span.set_tag("http.route", ROUTE)
                span.set_tag("server.port", PORT)
                span.set_tag("http.response.status_code", STATUS)
                span.finish()

        self.workloads: Workloads = {"five attributes": five}


TRACERS: dict[str, Callable[[], Any]] = {
    "calls": Inert,
    "asynchooks": Asynchooks,
    "opentelemetry": OpenTelemetry,
    "ddtrace": Ddtrace,
}


def main() -> None:
    workloads = TRACERS[sys.argv[1]]().workloads
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        workload = workloads[line.strip()]
        started = time.process_time_ns()
        workload(COUNT)
        print((time.process_time_ns() - started) / COUNT, flush=True)


if __name__ == "__main__":
    main()

"""An application with an OpenTelemetry SDK of its own: our spans go to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace as api
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import asynchooks
from asynchooks import opentelemetry, tracing
from asynchooks.tracing import current_span, start_span, use_span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.libraries.conftest import Trace


class Sdk:
    """A provider of an SDK, and what it exports."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(resource=Resource({"service.name": "theirs"}))
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def spans(self) -> dict[str, Any]:
        """By name."""
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def sdk() -> Sdk:
    return Sdk()


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch, trace: Trace) -> Iterator[list[Any]]:
    """Tracing as it is installed, with what our own exporter is given."""
    exported: list[Any] = []
    monkeypatch.setattr(tracing, "release", exported.append)
    monkeypatch.setenv("ASYNCHOOKS_TAIL_KEEP_ONE_IN", "1")  # everything comes by `release`
    tracing.install()
    yield exported
    opentelemetry.uninstall()
    tracing.uninstall()


@pytest.mark.parametrize("is_first", [True, False])
def test_all_spans_are_one_trace_in_the_sdk_alone(
    sdk: Sdk, trace: Trace, ours: list[Any], is_first: bool
) -> None:
    if is_first:
        api.set_tracer_provider(sdk.provider)
    opentelemetry.install()
    early = api.get_tracer("early")
    if not is_first:
        api.set_tracer_provider(sdk.provider)
    with trace.request() as request:
        with early.start_as_current_span("theirs") as theirs:
            assert api.get_current_span() is theirs
            assert asynchooks.current_request() is request
            with use_span(start_span("below theirs")) as below:
                assert below is not None
                below.end()
        start_span("below ours").end()
    spans = sdk.spans
    assert set(spans) == {"theirs", "below theirs", "below ours", "GET"}
    assert {span.context.trace_id for span in spans.values()} == {request.span.context.trace_id}
    assert spans["theirs"].parent.span_id == spans["GET"].context.span_id
    assert spans["below theirs"].parent.span_id == spans["theirs"].context.span_id
    assert spans["below ours"].parent.span_id == spans["GET"].context.span_id
    assert {span.resource.attributes["service.name"] for span in spans.values()} == {"theirs"}
    assert ours == []


def test_a_span_arrives_whole(sdk: Sdk, ours: list[Any]) -> None:
    opentelemetry.install()
    api.set_tracer_provider(sdk.provider)
    other = tracing.SpanContext(1, 2, 1, "a=b", is_remote=True)
    span = start_span("whole", kind=tracing.SpanKind.CLIENT, attributes={"a": 1}, parent=other)
    span.add_event("event", {"b": "2"}, 7)
    span.add_link(other, {"c": True})
    span.set_status(tracing.StatusCode.ERROR, "bad")
    span.end()
    whole = sdk.spans["whole"]
    assert whole.kind is SpanKind.CLIENT
    assert whole.attributes["a"] == 1
    assert whole.attributes["code.function.name"] == test_a_span_arrives_whole.__qualname__
    assert (whole.context.trace_id, whole.context.span_id) == (1, span.context.span_id)
    assert whole.context.trace_flags.sampled
    assert whole.parent.is_remote
    assert [(e.name, e.timestamp, dict(e.attributes)) for e in whole.events] == [
        ("event", 7, {"b": "2"})
    ]
    (link,) = whole.links
    assert (link.context.trace_id, dict(link.attributes)) == (1, {"c": True})
    assert (whole.status.status_code, whole.status.description) == (StatusCode.ERROR, "bad")
    assert (whole.start_time, whole.end_time) == (span.start_time, span.end_time)
    assert whole.instrumentation_scope.name == "asynchooks"
    assert '"whole"' in whole.to_json()


def test_afterwards_our_exporter_has_them_again(sdk: Sdk, ours: list[Any]) -> None:
    opentelemetry.install()
    api.set_tracer_provider(sdk.provider)
    opentelemetry.uninstall()
    start_span("later").end()
    assert sdk.spans == {}
    assert [span.name for span in ours] == ["later"]


def test_a_provider_that_is_no_sdk_s_gets_nothing(ours: list[Any]) -> None:
    opentelemetry.install()
    api.set_tracer_provider(api.NoOpTracerProvider())
    start_span("ours").end()
    assert [span.name for span in ours] == ["ours"]
    assert not api.get_tracer("a").start_span("theirs").is_recording()


def test_a_processor_that_fails_is_reported(
    sdk: Sdk, ours: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SimpleSpanProcessor):
        def on_end(self, span: Any) -> None:
            raise LookupError

    sdk.provider.add_span_processor(Broken(sdk.exporter))
    opentelemetry.install()
    api.set_tracer_provider(sdk.provider)
    for _ in range(2):
        start_span("span").end()
    (record,) = caplog.records
    assert "could not hand a span to the OpenTelemetry SDK" in record.getMessage()
    caplog.clear()


def test_the_sdk_s_own_export_is_not_recorded(sdk: Sdk, ours: list[Any]) -> None:
    """It suppresses instrumentation, by a key of the context that is ours, too."""
    seen: list[bool] = []

    class Exporting(InMemorySpanExporter):
        def export(self, spans: Any) -> Any:
            seen.append(tracing.is_suppressed())
            return super().export(spans)

    exporter = Exporting()
    sdk.provider.add_span_processor(SimpleSpanProcessor(exporter))
    opentelemetry.install()
    api.set_tracer_provider(sdk.provider)
    start_span("span").end()
    assert seen == [True]
    assert current_span() is None

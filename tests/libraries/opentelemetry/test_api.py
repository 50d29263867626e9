"""What OpenTelemetry's specification of the trace API asks of a provider, of ours."""

from __future__ import annotations

import asyncio
import inspect
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import propagate
from opentelemetry import trace as api
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

import asynchooks
from asynchooks import _native, _reporting, opentelemetry, tracing
from asynchooks.opentelemetry.provider import TracerProvider
from asynchooks.opentelemetry.spans import ApiSpan, name_and_version
from asynchooks.tracing import always_off, always_on, set_sampler, suppress_tracing, use_span
from asynchooks.tracing.config import Config

if TYPE_CHECKING:
    from tests.libraries.conftest import Trace

REMOTE = SpanContext(
    0xABC,
    0xDEF,
    is_remote=True,
    trace_flags=TraceFlags(1),
    trace_state=api.TraceState([("a", "b")]),
)


def recorded(span: api.Span) -> Any:
    """Our span of one of the API's."""
    assert isinstance(span, ApiSpan)
    return span.span


def below(context: SpanContext) -> Any:
    """A context of the API that has a span which is not ours."""
    return api.set_span_in_context(api.NonRecordingSpan(context))


# The provider.


def test_the_application_sees_no_provider_of_ours(connected: Trace) -> None:
    """FastAPI and others look at the type, and record by themselves where it is another."""
    assert type(api.get_tracer_provider()) is api.ProxyTracerProvider
    assert type(api.get_tracer("a")) is api.ProxyTracer


def test_a_provider_for_who_wants_one(connected: Trace) -> None:
    provider = TracerProvider()
    assert isinstance(provider, api.TracerProvider)
    tracer = api.get_tracer("explicit", "3", tracer_provider=provider)
    with tracer.start_as_current_span("span") as span:
        assert api.get_current_span() is span
    (ours,) = connected.spans
    assert name_and_version(ours.scope) == ("explicit", "3")
    assert provider.force_flush(10) is True


def test_it_is_found_by_its_name() -> None:
    (found,) = metadata.entry_points(group="opentelemetry_tracer_provider", name="asynchooks")
    assert found.load() is TracerProvider


def test_the_name_and_version_of_a_tracer_are_kept(tracer: api.Tracer, connected: Trace) -> None:
    tracer.start_span("a").end()
    api.get_tracer("unversioned").start_span("b").end()
    scopes = [name_and_version(span.scope) for span in connected.spans]
    assert scopes == [("test.scope", "1.2"), ("unversioned", "")]


def test_a_tracer_without_a_name_works_and_is_reported(
    connected: Trace, caplog: pytest.LogCaptureFixture
) -> None:
    api.get_tracer("").start_span("a").end()
    assert [span.name for span in connected.spans] == ["a"]
    assert "without a name" in caplog.text
    caplog.clear()


def test_a_tracer_of_before_makes_our_spans(trace: Trace) -> None:
    early = api.get_tracer("early")
    assert not early.start_span("lost").is_recording()
    opentelemetry.install()
    early.start_span("kept").end()
    with early.start_as_current_span("current"):
        pass
    opentelemetry.uninstall()
    assert not early.start_span("lost, too").is_recording()
    assert [(span.name, name_and_version(span.scope)) for span in trace.spans] == [
        ("kept", ("early", "")),
        ("current", ("early", "")),
    ]


def test_a_tracer_that_outlives_us_records_nothing(trace: Trace) -> None:
    opentelemetry.install()
    tracer = api.get_tracer("late")
    opentelemetry.uninstall()
    assert not tracer.start_span("lost").is_recording()
    with tracer.start_as_current_span("lost"):
        pass
    assert trace.spans == []


def test_everything_is_put_back(trace: Trace) -> None:
    from opentelemetry import context

    owners: tuple[Any, ...] = (api, context, api.ProxyTracer)
    before = [dict(vars(owner)) for owner in owners]
    opentelemetry.install()
    assert [dict(vars(owner)) for owner in owners] != before
    opentelemetry.uninstall()
    assert [dict(vars(owner)) for owner in owners] == before


# Starting spans.


def test_a_root_span(tracer: api.Tracer) -> None:
    span = tracer.start_span("root")
    context = span.get_span_context()
    assert context.is_valid
    assert not context.is_remote
    assert context.trace_flags.sampled
    assert context.trace_state == {}
    assert recorded(span).parent is None
    assert span.is_recording()
    assert tracer.start_span("other").get_span_context().trace_id != context.trace_id


def test_a_span_is_below_the_current_one_and_an_empty_context_has_none(tracer: api.Tracer) -> None:
    from opentelemetry.context import Context

    with tracer.start_as_current_span("outer") as outer:
        inner = tracer.start_span("inner")
        root = tracer.start_span("root", context=Context())
    assert inner.get_span_context().trace_id == outer.get_span_context().trace_id
    assert recorded(inner).parent == recorded(outer).context
    assert inner.get_span_context().span_id != outer.get_span_context().span_id
    assert root.get_span_context().trace_id != outer.get_span_context().trace_id
    assert recorded(root).parent is None


def test_a_span_below_that_of_a_given_context(tracer: api.Tracer) -> None:
    parent = tracer.start_span("parent")
    with tracer.start_as_current_span("current"):
        child = tracer.start_span("child", context=api.set_span_in_context(parent))
    assert recorded(child).parent == recorded(parent).context


def test_a_remote_parent(tracer: api.Tracer) -> None:
    span = tracer.start_span("server", context=below(REMOTE), kind=SpanKind.SERVER)
    context = span.get_span_context()
    assert context.trace_id == REMOTE.trace_id
    assert context.trace_state == {"a": "b"}
    assert not context.is_remote
    assert recorded(span).parent.is_remote
    assert recorded(span).parent.span_id == REMOTE.span_id


def test_an_invalid_parent_is_none(tracer: api.Tracer) -> None:
    span = tracer.start_span("root", context=below(api.INVALID_SPAN_CONTEXT))
    assert span.get_span_context().is_valid
    assert recorded(span).parent is None


@pytest.mark.parametrize("headers", [{}, {"traceparent": f"00-{7:032x}-{8:016x}-01"}])
def test_a_framework_s_server_span_is_below_ours(
    tracer: api.Tracer, connected: Trace, headers: dict[str, str]
) -> None:
    """As Starlette's middleware makes it: below what the headers say."""
    parent, _ = tracing.extract(lambda name: headers.get(name, ""))
    request = tracing.start_request(request_id="r", method="GET", path="/", parent=parent)
    with tracing.use_request(request):
        span = tracer.start_span("GET", propagate.extract(headers), SpanKind.SERVER)
        other = tracer.start_span("consume", below(REMOTE), SpanKind.SERVER)
    assert recorded(span).parent == request.span.context
    assert recorded(span).kind.name == "INTERNAL"
    assert recorded(span).request is request
    assert recorded(other).context.trace_id == REMOTE.trace_id
    assert recorded(other).kind.name == "SERVER"
    assert recorded(other).request is None


@pytest.mark.parametrize("kind", list(SpanKind))
def test_kinds(tracer: api.Tracer, kind: SpanKind) -> None:
    span: Any = tracer.start_span("span", kind=kind)
    assert span.kind is kind
    assert recorded(span).kind.name == kind.name


def test_a_kind_that_is_none_is_internal(tracer: api.Tracer) -> None:
    strange: Any = "server"
    span: Any = tracer.start_span("span", kind=strange)
    assert span.kind is SpanKind.INTERNAL


def test_start_and_end_can_be_given(tracer: api.Tracer, connected: Trace) -> None:
    span: Any = tracer.start_span("span", start_time=5)
    assert (span.start_time, span.end_time) == (5, None)
    span.end(9)
    span.end(12)
    assert (span.start_time, span.end_time) == (5, 9)
    assert len(connected.spans) == 1


# Sampling.


def test_what_is_not_sampled_is_not_recorded_and_goes_on(
    tracer: api.Tracer, connected: Trace, sampler: None
) -> None:
    set_sampler(always_off)
    with tracer.start_as_current_span("root") as root:
        child = tracer.start_span("child", attributes={"a": 1})
    for span in (root, child):
        assert not span.is_recording()
        assert span.get_span_context().is_valid
        assert not span.get_span_context().trace_flags.sampled
        span.set_attribute("a", 1)
        span.add_event("event")
        span.record_exception(LookupError())
        span.set_status(StatusCode.ERROR)
        span.update_name("other")
        span.end()
    assert child.get_span_context().trace_id == root.get_span_context().trace_id
    assert child.get_span_context().span_id != root.get_span_context().span_id
    assert connected.spans == []


@pytest.mark.parametrize("flags", [0, 1])
def test_a_remote_parent_decides(tracer: api.Tracer, flags: int) -> None:
    parent = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(flags))
    span = tracer.start_span("span", context=below(parent))
    assert span.is_recording() is bool(flags)
    assert span.get_span_context().trace_flags.sampled is bool(flags)


def test_a_sampler_may_record_what_the_parent_does_not(tracer: api.Tracer, sampler: None) -> None:
    set_sampler(always_on)
    parent = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(0))
    span = tracer.start_span("span", context=below(parent))
    assert span.is_recording()
    assert span.get_span_context().trace_flags.sampled


def test_suppressed_spans_are_not_recorded(tracer: api.Tracer) -> None:
    with suppress_tracing():
        assert not tracer.start_span("span").is_recording()


# Attributes, events, links.


def test_attributes(tracer: api.Tracer) -> None:
    span: Any = tracer.start_span("span", attributes={"text": "a", "number": 1})
    span.set_attribute("text", "b")
    span.set_attributes({"float": 1.5, "bool": True, "list": ("a", "b"), "numbers": [1, 2]})
    assert span.attributes == {
        "text": "b",
        "number": 1,
        "float": 1.5,
        "bool": True,
        "list": ("a", "b"),
        "numbers": (1, 2),
    }


def test_strange_attributes_become_text_or_are_left_out(
    tracer: api.Tracer, caplog: pytest.LogCaptureFixture
) -> None:
    strange: Any = {
        "none": None,
        "bytes": b"a\xff",
        "object": LookupError("x"),
        "mixed": ["a", 1, None],
        "numbers": [1, 2.5],
        "mapping": {"a": [1]},
        "": "no key",
        7: "no text",
    }
    span: Any = tracer.start_span("span", attributes=strange)
    span.set_attributes(strange)
    assert span.attributes == {
        "bytes": b"a\xff",
        "object": "x",
        "mixed": ("a", "1"),
        "numbers": (1.0, 2.5),
        "mapping": '{"a": [1]}',
    }
    assert len(caplog.records) == 2  # of all keys, of all values
    caplog.clear()


def test_a_list_that_changes_later_does_not_change_the_attribute(tracer: api.Tracer) -> None:
    values = ["a"]
    span: Any = tracer.start_span("span", attributes={"list": values})
    values.append("b")
    assert span.attributes == {"list": ("a",)}


def test_limits(tracer: api.Tracer) -> None:
    _native.set_span_limits(
        attributes=2, value_length=3, events=1, links=1, event_attributes=1, link_attributes=1
    )
    try:
        link = Link(REMOTE, {"a": 1, "b": 2})
        span = tracer.start_span(
            "span", attributes={"a": "12345", "b": ["12345"], "c": 1}, links=[link] * 3
        )
        for _ in range(3):
            span.add_event("event", {"x": 1, "y": 2})
    finally:
        _native.set_span_limits(**Config(endpoint=None).limits)
    ours = recorded(span)
    assert ours.attributes == {"a": "123", "b": ("123",)}
    assert (ours.dropped_attributes, ours.dropped_events, ours.dropped_links) == (1, 2, 2)
    assert ours.events[0].attributes == {"x": 1}
    assert ours.links[0].attributes == {"a": 1}


def test_events(tracer: api.Tracer) -> None:
    span = tracer.start_span("span")
    span.add_event("first")
    span.add_event("second", {"a": 1}, timestamp=7)
    first, second = recorded(span).events
    assert (first.name, first.attributes) == ("first", {})
    assert first.timestamp >= recorded(span).start_time
    assert second == ("second", 7, {"a": 1})


def test_links_at_the_start_and_later(tracer: api.Tracer) -> None:
    span = tracer.start_span("span", links=[Link(REMOTE, {"a": 1})])
    span.add_link(REMOTE)
    span.add_link(api.INVALID_SPAN_CONTEXT)
    first, second = recorded(span).links
    assert (first.context.trace_id, first.context.span_id) == (REMOTE.trace_id, REMOTE.span_id)
    assert first.context.trace_state == "a=b"
    assert first.context.is_remote
    assert (first.attributes, second.attributes) == ({"a": 1}, {})


def test_nothing_is_recorded_after_the_end(tracer: api.Tracer, connected: Trace) -> None:
    span = tracer.start_span("span")
    span.end()
    assert not span.is_recording()
    span.set_attribute("a", 1)
    span.add_event("late")
    span.add_link(REMOTE)
    span.update_name("other")
    span.set_status(StatusCode.ERROR)
    span.record_exception(LookupError())
    (ours,) = connected.spans
    assert (ours.name, ours.attributes, ours.events, ours.links) == ("span", {}, [], [])
    assert ours.status_code == 0


def test_the_name_can_be_changed(tracer: api.Tracer) -> None:
    span: Any = tracer.start_span("before")
    span.update_name("after")
    assert span.name == "after"


# Status and exceptions.


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], (StatusCode.UNSET, None)),
        ([Status(StatusCode.ERROR, "bad")], (StatusCode.ERROR, "bad")),
        ([Status(StatusCode.ERROR, "bad"), Status(StatusCode.UNSET)], (StatusCode.ERROR, "bad")),
        ([Status(StatusCode.ERROR, "bad"), Status(StatusCode.OK)], (StatusCode.OK, None)),
        ([Status(StatusCode.OK), Status(StatusCode.ERROR, "late")], (StatusCode.OK, None)),
        ([StatusCode.OK, StatusCode.UNSET], (StatusCode.OK, None)),
        (["nonsense"], (StatusCode.UNSET, None)),
    ],
)
def test_status(
    tracer: api.Tracer, statuses: list[Any], expected: tuple[StatusCode, str | None]
) -> None:
    span: Any = tracer.start_span("span")
    for status in statuses:
        span.set_status(status)
    assert (span.status.status_code, span.status.description) == expected


def test_a_description_beside_the_code(tracer: api.Tracer) -> None:
    span: Any = tracer.start_span("span")
    span.set_status(StatusCode.ERROR, "bad")
    assert span.status.description == "bad"


def test_an_exception_is_an_event(tracer: api.Tracer) -> None:
    span: Any = tracer.start_span("span")
    with pytest.raises(asyncio.QueueEmpty) as caught:
        asyncio.Queue[int]().get_nowait()
    span.record_exception(caught.value, {"exception.message": "mine", "a": 1}, timestamp=7)
    (event,) = recorded(span).events
    assert (event.name, event.timestamp) == ("exception", 7)
    assert event.attributes["exception.type"] == "asyncio.queues.QueueEmpty"
    assert event.attributes["exception.message"] == "mine"
    assert event.attributes["exception.escaped"] == "False"
    assert event.attributes["a"] == 1
    assert "test_an_exception_is_an_event" in event.attributes["exception.stacktrace"]
    assert span.status.status_code is StatusCode.UNSET


def test_an_exception_that_leaves_the_block_fails_the_span(tracer: api.Tracer) -> None:
    error = LookupError("no such order")
    with pytest.raises(LookupError) as caught, tracer.start_as_current_span("span") as span:
        raise error
    assert caught.value is error
    ours = recorded(span)
    assert ours.end_time is not None
    assert (ours.status_code, ours.status_description) == (2, "LookupError: no such order")
    assert [event.name for event in ours.events] == ["exception"]
    with pytest.raises(LookupError), tracer.start_span("bare") as span:
        raise error
    assert recorded(span).status_description == "LookupError: no such order"


def test_an_exception_may_be_left_out(tracer: api.Tracer) -> None:
    block = tracer.start_as_current_span(
        "span", record_exception=False, set_status_on_exception=False
    )
    with pytest.raises(LookupError), block as span:
        raise LookupError
    assert recorded(span).events == []
    assert recorded(span).status_code == 0


def test_leaving_by_exit_is_no_failure(tracer: api.Tracer) -> None:
    with pytest.raises(SystemExit), tracer.start_as_current_span("span") as span:
        raise SystemExit
    assert recorded(span).events == []
    assert recorded(span).status_code == 0


# Being current.


def test_the_current_span_is_the_very_object(tracer: api.Tracer) -> None:
    assert api.get_current_span() is api.INVALID_SPAN
    with tracer.start_as_current_span("outer") as outer:
        assert api.get_current_span() is outer
        assert tracing.current_span() is recorded(outer)
        with tracer.start_as_current_span("inner") as inner:
            assert api.get_current_span() is inner
        assert api.get_current_span() is outer
    assert api.get_current_span() is api.INVALID_SPAN
    assert tracing.current_span() is None


def test_a_block_may_leave_its_span_open(tracer: api.Tracer) -> None:
    for block in (
        tracer.start_as_current_span("span", end_on_exit=False),
        tracer.start_as_current_span(
            "span", None, SpanKind.CLIENT, {}, (), None, True, True, False
        ),
    ):
        with block as span:
            pass
        assert span.is_recording()


def test_api_use_span(tracer: api.Tracer) -> None:
    span = tracer.start_span("span")
    with api.use_span(span, end_on_exit=True):
        assert api.get_current_span() is span
        assert tracing.current_span() is recorded(span)
    assert not span.is_recording()


def test_our_current_span_is_that_of_the_api(tracer: api.Tracer, connected: Trace) -> None:
    with connected.request() as request:
        seen: Any = api.get_current_span()
        assert seen.span is request.span
        assert seen is api.get_current_span()
        with tracer.start_as_current_span("inner") as inner:
            assert recorded(inner).request is request
            assert asynchooks.current_request() is request
            with use_span(tracing.start_span("ours")) as ours:
                assert ours is not None
                assert ours.parent == recorded(inner).context
                assert api.get_current_span() == ApiSpan(ours)
    assert [span.name for span in connected.spans] == ["inner", "GET"]


def test_as_a_decorator(tracer: api.Tracer, connected: Trace) -> None:
    @tracer.start_as_current_span("plain")
    def plain(a: int) -> int:
        """Its own words."""
        assert api.get_current_span().is_recording()
        return a + 1

    @tracer.start_as_current_span("coroutine")
    async def coroutine(a: int) -> int:
        await asyncio.sleep(0)
        assert recorded(api.get_current_span()).name == "coroutine"
        return a + 2

    assert (plain(1), plain(2)) == (2, 3)
    assert (asyncio.run(coroutine(1)), asyncio.run(coroutine(2))) == (3, 4)
    assert plain.__doc__ == "Its own words."
    assert inspect.iscoroutinefunction(coroutine)
    assert [span.name for span in connected.spans] == ["plain"] * 2 + ["coroutine"] * 2
    assert len({span.context.span_id for span in connected.spans}) == 4


def test_nothing_of_this_is_reported(tracer: api.Tracer) -> None:
    _reporting.forget_reports()
    with tracer.start_as_current_span("span", attributes={"a": 1}) as span:
        span.set_status(Status(StatusCode.OK))

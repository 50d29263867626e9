"""What the tests of queues send, and what is asked of every one of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from asynchooks.tracing import Request, Span, SpanKind, StatusCode, current_request, start_span

if TYPE_CHECKING:
    from tests.libraries.conftest import Trace

# The request of each job that has run in this test.
seen: list[Request | None] = []


def work(name: str) -> None:
    """What every job does."""
    seen.append(current_request())
    start_span(f"work {name}").end()
    if name == "fail":
        raise LookupError("no such lamp")


def of_kind(trace: Trace, kind: SpanKind) -> list[Span]:
    return [span for span in trace.spans if span.kind is kind]


def senders_of(span: Span) -> list[int]:
    """The ids of the spans that it is linked to."""
    return [link.context.span_id for link in span.links]


def check(
    trace: Trace, sender: Request, system: str, destination: str, name: str, *, queue: str = ""
) -> None:
    """Two jobs, "a" and "fail", were sent by one request, and both have run; by `queue`, where that
    is called otherwise than what they were sent to."""
    sent = of_kind(trace, SpanKind.PRODUCER)
    run = of_kind(trace, SpanKind.CONSUMER)
    assert [span.name for span in sent] == [f"send {name}"] * 2
    assert [span.parent for span in sent] == [sender.span.context] * 2
    assert {span.name for span in run} == {f"process {queue or name}"}
    for span in sent:
        assert span.call_site is not None
        assert Path(span.call_site[0].co_filename).parent == Path(__file__).parent
        assert span.attributes["messaging.system"] == system
        assert span.attributes["messaging.destination.name"] == destination
        assert span.attributes["messaging.operation.type"] == "send"
    by_sender = {span.context.span_id: span for span in sent}
    for span in run:
        assert span.parent is None
        assert span.context.trace_id != sender.span.context.trace_id
        assert span.attributes["messaging.operation.type"] == "process"
        assert span.attributes["messaging.destination.name"] == (queue or destination)
        (link,) = span.links
        producer = by_sender[link.context.span_id]
        assert link.context.trace_id == producer.context.trace_id
        if "messaging.message.id" in producer.attributes:
            message_id = producer.attributes["messaging.message.id"]
            assert span.attributes["messaging.message.id"] == message_id
        assert span.request is not None
        assert span.request.id == sender.id
        assert span.request.root_async_id != sender.root_async_id
    assert set(seen) == {span.request for span in run}
    ran = trace.named("work a")  # maybe in a task of the job
    assert ran.request in [span.request for span in run]
    assert ran.context.trace_id in [span.context.trace_id for span in run]
    failed = [span for span in run if span.status_code is StatusCode.ERROR]
    assert {span.attributes["error.type"] for span in failed} == {"LookupError"}
    assert {span.status_description for span in failed} == {"no such lamp"}
    failure = next(one for one in trace.spans if one.name == "work fail")
    assert failure.request in [span.request for span in failed]

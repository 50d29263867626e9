"""ExportBuffer: bounded in spans and bytes, and its counters add up whatever happens."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from asynchooks import _native
from asynchooks._native import Answer, start_request
from asynchooks.tracing import Span, start_span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCOPE = _native.encode_scope("asynchooks")


def make_buffer(**more: Any) -> _native.ExportBuffer:
    options = {"capacity": 100, "byte_limit": 1 << 20, "batch": 10, **more}
    buffer = _native.ExportBuffer(start=lambda: None, scope=SCOPE, **options)
    _native.set_span_buffer(buffer)
    return buffer


@pytest.fixture(autouse=True)
def no_buffer_afterwards() -> Iterator[None]:
    yield
    _native.set_span_buffer(None)


def names(body: bytes) -> list[str]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        span.name
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


STEPS = st.lists(
    st.tuples(st.just("end"), st.integers(1, 12), st.sampled_from([None, "a", "b"]))
    | st.tuples(st.just("take"), st.just(0), st.none())
    | st.tuples(st.just("settle"), st.integers(0, 12), st.none())
    | st.tuples(st.just("close"), st.just(0), st.none()),
    max_size=40,
)
SCOPES = {name: _native.encode_scope(name) for name in "ab"}


@given(STEPS, st.integers(1, 30), st.integers(1, 12), st.integers(200, 4000))
def test_every_span_is_somewhere(
    steps: list[tuple[str, int, str | None]], capacity: int, batch: int, byte_limit: int
) -> None:
    buffer = make_buffer(capacity=capacity, batch=batch, byte_limit=byte_limit)
    ended = in_flight = 0
    taken: list[str] = []
    for step, number, scope in steps:
        if step == "end":
            for _ in range(number):
                Span(str(ended), scope=SCOPES[scope] if scope else None).end()
                ended += 1
        elif step == "take":
            batch_taken = buffer.take(b"")
            if batch_taken is not None:
                count, body = batch_taken
                assert 1 <= count == len(names(body)) <= batch
                in_flight += count
                taken += names(body)
        elif step == "settle":
            sent = min(number, in_flight)
            dropped = (in_flight - sent) // 2
            buffer.settle(sent, dropped)
            in_flight -= sent + dropped
        else:
            buffer.close()
        all_ended, sent, dropped, waiting = buffer.stats()
        assert all_ended == ended == sent + dropped + waiting
        assert in_flight <= waiting <= capacity + in_flight
    assert len(set(taken)) == len(taken)
    with pytest.raises(ValueError, match="were taken"):
        buffer.settle(in_flight + 1, 0)


def test_what_comes_out_is_what_went_in_in_order() -> None:
    buffer = make_buffer(capacity=10_000, batch=64, byte_limit=1 << 30)
    for number in range(1000):
        Span(f"{number}", attributes={"pad": "x" * (number % 7 * 1000)}).end()
    found: list[str] = []
    while (taken := buffer.take(b"")) is not None:
        found += names(taken[1])
    assert found == [str(number) for number in range(1000)]


def test_it_is_bounded_in_bytes_too() -> None:
    buffer = make_buffer(capacity=1000, byte_limit=100_000)
    for _ in range(100):
        Span("large", attributes={"text": "x" * 10_000}).end()
    taken = buffer.take(b"")  # has the last ones encoded
    assert taken is not None
    assert buffer.take(b"") is None
    assert (taken[0], buffer.stats()) == (9, (100, 0, 91, 9))


def test_a_batch_is_not_too_large_for_a_receiver() -> None:
    buffer = make_buffer(capacity=1000, batch=1000, byte_limit=1 << 30)
    for _ in range(40):
        Span("large", attributes={f"{n}": "x" * 16_000 for n in range(10)}).end()
    Span("huge", attributes={f"{n}": "€" * 16_000 for n in range(100)}).end()
    sizes = []
    while (taken := buffer.take(b"")) is not None:
        sizes.append((taken[0], len(taken[1])))
    assert sum(count for count, _ in sizes) == 41
    assert all(size < 3 * 1024 * 1024 + 100 for count, size in sizes if count > 1)
    assert sizes[-1][1] > 4_000_000


@pytest.mark.parametrize("let_go", ["keep", "take", "close", "replace"])
def test_what_waits_to_be_encoded_keeps_no_request_alive(let_go: str) -> None:
    """Although a request and its spans know each other, no garbage collection is needed."""
    buffer = make_buffer()
    gc.disable()
    try:
        request = start_request(request_id="1", method="GET", path="/")
        with Answer(request) as answer:
            start_span("query").end()
            if let_go == "take":
                buffer.take(b"")
            elif let_go == "close":
                buffer.close()
            elif let_go == "replace":
                _native.set_span_buffer(None)
                del buffer
            answer.end()
        gone = weakref.ref(request)
        del request, answer
        assert gone() is None
    finally:
        gc.enable()
    if let_go == "keep":
        taken = buffer.take(b"")
        assert taken is not None
        assert names(taken[1]) == ["query", "GET"]


def test_start_is_called_where_nobody_attends() -> None:
    calls: list[int] = []

    def start() -> None:
        calls.append(1)

    buffer = _native.ExportBuffer(
        start=start, scope=SCOPE, capacity=100, byte_limit=1 << 20, batch=10
    )
    _native.set_span_buffer(buffer)
    for _ in range(5):
        Span("one").end()
    assert calls == [1]
    buffer.unattend()
    Span("one").end()
    assert calls == [1, 1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_start_that_fails_is_called_again() -> None:
    calls: list[int] = []

    def start() -> None:
        calls.append(1)
        raise RuntimeError("on purpose")

    buffer = _native.ExportBuffer(
        start=start, scope=SCOPE, capacity=100, byte_limit=1 << 20, batch=10
    )
    _native.set_span_buffer(buffer)
    Span("one").end()
    Span("two").end()
    assert calls == [1, 1]
    assert buffer.stats() == (2, 0, 0, 2)


def waiting_thread(buffer: _native.ExportBuffer, interval: float) -> Callable[[], None]:
    """Begin to wait in another thread. Returns what joins it."""
    thread = threading.Thread(target=buffer.wait, args=(interval,))
    thread.start()
    return thread.join


@pytest.mark.parametrize("when", ["before", "after"])
def test_wait_ends_with_a_full_batch_or_a_wake(when: str) -> None:
    buffer = make_buffer(batch=3)

    def fill() -> None:
        for _ in range(3):
            Span("one").end()

    for cause in (fill, buffer.wake):
        if when == "before":
            cause()
            buffer.wait(1000)
        else:
            join = waiting_thread(buffer, 1000)
            cause()
            join()
        buffer.take(b"")


def test_wait_ends_when_the_first_has_waited_long_enough() -> None:
    buffer = make_buffer()
    join = waiting_thread(buffer, 0.01)
    Span("one").end()
    join()
    assert buffer.stats() == (1, 0, 0, 1)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # threads of others
def test_a_forked_child_has_none_of_its_parent_s_spans() -> None:
    buffer = make_buffer()
    for _ in range(3):
        Span("parent").end()
    buffer.take(b"")
    Span("parent").end()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            Span("child").end()
            taken = buffer.take(b"")
            if buffer.stats() == (1, 0, 0, 1) and taken and names(taken[1]) == ["child"]:
                status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert buffer.stats() == (4, 0, 0, 4)


def test_spans_may_end_in_finalizers_and_threads_all_at_once() -> None:
    buffer = make_buffer(capacity=1_000_000, byte_limit=1 << 30, batch=100)
    received = 0

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            Span("in a finalizer", attributes={"a": [1, 2]}).end()

    def work() -> None:
        for number in range(500):
            Cycle()
            Span("outside", attributes={"n": number}).end()

    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(1)
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            taken = buffer.take(b"")
            if taken is not None:
                assert len(names(taken[1])) == taken[0]
                buffer.settle(taken[0], 0)
                received += taken[0]
    finally:
        gc.set_threshold(*threshold)
        sys.setswitchinterval(interval)
    gc.collect()
    while (taken := buffer.take(b"")) is not None:
        received += taken[0]
        buffer.settle(taken[0], 0)
    assert received == 4000
    assert buffer.stats() == (4000, 4000, 0, 0)


def test_what_makes_no_sense_is_said() -> None:
    buffer: Any = make_buffer()
    with pytest.raises(TypeError):
        buffer.take("text")
    with pytest.raises(TypeError):
        buffer.wait("long")
    with pytest.raises(TypeError):
        _native.set_span_buffer("buffer")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="room"):
        make_buffer(capacity=0)

"""Which requests are kept: at their end."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynchooks import tracing
from asynchooks.tracing import RateLimit, Request, Span, StatusCode, TailSampler, set_gate
from asynchooks.tracing import tail as tail_module
from asynchooks.tracing.quantiles import StreamingQuantile

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = 1_000_000_000
# Of so many requests that are nothing special, none is kept by chance.
NEVER = 1 << 62


@pytest.fixture
def kept() -> Iterator[list[Span]]:
    """What tail sampling lets through."""
    spans: list[Span] = []
    yield spans
    set_gate(None)


def start(route: str = "/") -> Request:
    request = Request("r", "GET", route, 1)
    request.span = Span("GET", request=request, start_time=0)
    request.route = route
    return request


def finish(request: Request, seconds: float = 0.001) -> None:
    request.span.end(int(seconds * SECOND))


def names(spans: list[Span]) -> list[str]:
    return [span.name for span in spans]


def test_spans_wait_for_the_end_of_their_request(kept: list[Span]) -> None:
    set_gate(TailSampler(kept.append, keep_one_in=1).submit)
    request = start()
    Span("query", request=request).end()
    Span("of nobody").end()
    assert names(kept) == ["of nobody"]
    finish(request)
    assert names(kept) == ["of nobody", "query", "GET /"]
    Span("background", request=request).end()
    assert names(kept)[3:] == ["background"]


def test_the_rest_is_dropped_one_in_so_many_is_kept(kept: list[Span]) -> None:
    set_gate(TailSampler(kept.append, keep_one_in=4).submit)
    for _ in range(1000):
        request = start()
        Span("query", request=request).end()
        finish(request)
        Span("background", request=request).end()
        assert len(request.waiting) == 0
    assert len(kept) % 3 == 0
    # Of a binomial distribution around 250, with a chance of less than 1e-9 to be beyond.
    assert 160 < len(kept) / 3 < 340


def test_the_same_requests_are_kept_everywhere(kept: list[Span]) -> None:
    request = start()
    decisions: set[bool | None] = set()
    for _ in range(2):
        sampler = TailSampler(kept.append, keep_one_in=2)
        request.is_kept = None
        sampler.submit(request.span)
        decisions.add(request.is_kept)
    assert len(decisions) == 1


@pytest.mark.parametrize("failed", ["GET", "query"])
def test_a_failed_request_is_kept(kept: list[Span], failed: str) -> None:
    set_gate(TailSampler(kept.append, keep_one_in=NEVER).submit)
    request = start()
    query = Span("query", request=request)
    (query if failed == "query" else request.span).set_status(StatusCode.ERROR)
    query.end()
    finish(request)
    assert names(kept) == ["query", "GET /"]


def test_a_slow_request_is_kept_by_a_threshold(kept: list[Span]) -> None:
    set_gate(TailSampler(kept.append, keep_one_in=NEVER, slow=0.5).submit)
    for seconds in (0.499, 0.5, 0.1, 2.0):
        finish(start(f"/{seconds}"), seconds)
    assert names(kept) == ["GET /0.5", "GET /2.0"]


def test_a_slow_request_is_kept_by_what_is_usual_for_its_route(kept: list[Span]) -> None:
    set_gate(TailSampler(kept.append, keep_one_in=NEVER).submit)
    for number in range(200):
        finish(start("/fast"), 0.010 + number / 100_000)
        finish(start("/slow"), 1.0 + number / 1000)
    kept.clear()
    finish(start("/slow"), 1.05)
    finish(start("/fast"), 0.5)
    finish(start("/new"), 0.5)
    assert names(kept) == ["GET /fast"]


def test_what_is_usual_is_forgotten_in_time(
    kept: list[Span], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_module, "_WINDOW", 300)
    set_gate(TailSampler(kept.append, keep_one_in=NEVER).submit)
    for seconds in (1.0, 0.01, 0.01):
        for _ in range(300):
            finish(start(), seconds)
    kept.clear()
    finish(start(), 0.5)
    assert names(kept) == ["GET /"]


def test_no_more_routes_are_known_than_so_many(
    kept: list[Span], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_module, "MAXIMUM_ROUTES", 3)
    sampler = TailSampler(kept.append, keep_one_in=NEVER)
    set_gate(sampler.submit)
    for route in ("/1", "/2", "/3", "/1", "/4"):
        finish(start(route))
    assert list(sampler._latencies) == ["GET /3", "GET /1", "GET /4"]


def test_a_request_that_does_not_end_is_kept_when_it_becomes_too_large(
    kept: list[Span], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_module, "MAXIMUM_WAITING", 3)
    set_gate(TailSampler(kept.append, keep_one_in=NEVER).submit)
    request = start()
    for number in range(5):
        Span(f"{number}", request=request).end()
    assert names(kept) == ["0", "1", "2", "3", "4"]
    finish(request)
    assert names(kept)[5:] == ["GET /"]


def test_the_limit_is_hard(kept: list[Span]) -> None:
    limit = RateLimit(2.0, clock=lambda: 0.0)
    set_gate(TailSampler(kept.append, keep_one_in=1, limit=limit).submit)
    for number in range(5):
        request = start(f"/{number}")
        request.span.set_status(StatusCode.ERROR)
        finish(request)
    assert names(kept) == ["GET /0", "GET /1"]


def test_as_it_is_installed(monkeypatch: pytest.MonkeyPatch, engine: None) -> None:
    monkeypatch.setenv("ASYNCHOOKS_TAIL_KEEP_ONE_IN", str(NEVER))
    monkeypatch.setenv("ASYNCHOOKS_TAIL_SLOW_MS", "500")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    tracing.install()
    exported: list[Span] = []
    tracing.export_to(exported.append)
    try:
        finish(start("/fast"), 0.4)
        finish(start("/slow"), 0.6)
    finally:
        tracing.uninstall()
    assert names(exported) == ["GET /slow"]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_lies_between_the_least_and_the_greatest(
    numbers: list[float], quantile: float
) -> None:
    estimate = StreamingQuantile(quantile)
    assert estimate.value == 0
    for number in numbers:
        estimate.add(number)
    assert min(numbers) <= estimate.value <= max(numbers)
    assert estimate.count == len(numbers)


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("shape", ["uniform", "exponential", "sorted"])
def test_a_quantile_is_near_the_true_one(quantile: float, shape: str) -> None:
    source = random.Random(7)
    numbers = [
        source.expovariate(1) if shape == "exponential" else source.random() for _ in range(10_000)
    ]
    if shape == "sorted":
        numbers.sort()
    estimate = StreamingQuantile(quantile)
    for number in numbers:
        estimate.add(number)
    rank = sum(number <= estimate.value for number in numbers) / len(numbers)
    assert abs(rank - quantile) < 0.02

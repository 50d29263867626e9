"""Tail sampling: whether a request is kept is decided when it has ended.

Its spans wait in it until then. Kept are those that failed, those that were slow, and one in so
many of the rest; the same ones in every service, since the trace id decides. This stands between
`Span.end` and the exporter, as the gate of spans: where it is not wanted nothing of it runs.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

from asynchooks.tracing.quantiles import StreamingQuantile
from asynchooks.tracing.sampling import trace_id_ratio
from asynchooks.tracing.span import StatusCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynchooks.tracing.request import Request
    from asynchooks.tracing.sampling import RateLimit
    from asynchooks.tracing.span import Span

__all__ = ("TailSampler",)

# A request that has so many spans before it ends is kept: it is one to look at, and to wait longer
# would take more memory.
MAXIMUM_WAITING = 1000
# Latencies are known for so many routes, those that were used last.
MAXIMUM_ROUTES = 1000
# A quantile means something from so many requests on, and is of the last one or two times as many
# as the second number says: what was slow once need not be today.
_ENOUGH = 200
_WINDOW = 10_000
_QUANTILE = 0.99


class TailSampler:
    """The gate of spans that holds them back until their request is decided on.

    Args:
        release: takes the spans that are kept.
        keep_one_in: of requests that neither failed nor were slow.
        slow: from how many seconds on a request is slow. None: from the 99th percentile of its
            route on, which is known after 200 requests.
        limit: no more requests are kept than it allows, whatever they are.
    """

    def __init__(
        self,
        release: Callable[[Span], object],
        *,
        keep_one_in: int,
        slow: float | None = None,
        limit: RateLimit | None = None,
    ) -> None:
        self._release = release
        self._keep = trace_id_ratio(1 / keep_one_in)
        self._slow = slow
        self._limit = limit
        self._latencies: OrderedDict[str, _Latency] = OrderedDict()

    def submit(self, span: Span) -> None:
        """Take a span that has ended. Any thread. A span of no request is released at once."""
        request = span.request
        if request is None:
            self._release(span)
            return
        request.waiting.append(span)
        if request.is_kept is None:
            if span is request.span:
                request.is_kept = self._decide(request, span)
            elif len(request.waiting) >= MAXIMUM_WAITING:
                request.is_kept = self._limit is None or self._limit.take()
            else:
                return
        self._settle(request)

    def _settle(self, request: Request) -> None:
        """Let go of what waits. Another thread may do the same: each span is taken once."""
        waiting = request.waiting
        try:
            while True:
                span = waiting.popleft()
                if request.is_kept:
                    self._release(span)
        except IndexError:
            return

    def _decide(self, request: Request, span: Span) -> bool:
        is_slow = self._is_slow(request, span)
        failed = span.status_code is StatusCode.ERROR or any(
            other.status_code is StatusCode.ERROR for other in request.waiting
        )
        if not (failed or is_slow or self._keep(None, span.context.trace_id)):
            return False
        return self._limit is None or self._limit.take()

    def _is_slow(self, request: Request, span: Span) -> bool:
        seconds = ((span.end_time or span.start_time) - span.start_time) / 1e9
        if self._slow is not None:
            return seconds >= self._slow
        return self._latency_of(f"{request.method} {request.route}").is_slow(seconds)

    def _latency_of(self, route: str) -> _Latency:
        latencies = self._latencies
        latency = latencies.get(route)
        if latency is None:
            latency = latencies.setdefault(route, _Latency())
            if len(latencies) > MAXIMUM_ROUTES:
                latencies.popitem(last=False)
        else:
            with suppress(KeyError):  # another thread has just dropped it
                latencies.move_to_end(route)
        return latency


class _Latency:
    """How long the requests of one route take."""

    __slots__ = ("_current", "_previous")

    def __init__(self) -> None:
        self._current = StreamingQuantile(_QUANTILE)
        self._previous: StreamingQuantile | None = None

    def is_slow(self, seconds: float) -> bool:
        """Whether this is beyond the quantile of those before; it is counted then."""
        current = self._current
        known = current if current.count >= _ENOUGH else self._previous
        is_slow = known is not None and seconds > known.value
        current.add(seconds)
        if current.count >= _WINDOW:
            self._previous = current
            self._current = StreamingQuantile(_QUANTILE)
        return is_slow

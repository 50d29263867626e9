"""Which traces are recorded: decided when a trace begins here, by OpenTelemetry's samplers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from asynchooks import _native

if TYPE_CHECKING:
    from asynchooks.tracing.span import SpanContext

__all__ = (
    "DEFAULT_SAMPLER",
    "SAMPLERS",
    "RateLimit",
    "Sampler",
    "always_off",
    "always_on",
    "is_sampled",
    "limited",
    "parent_based",
    "set_sampler",
    "trace_id_ratio",
)

# From the caller's span, if there is one, and the trace id to whether the trace is recorded.
# Asked once for each trace, where it begins in this process; what is below it follows.
Sampler = Callable[["SpanContext | None", int], bool]

_SAMPLED = 1  # of trace flags
_RANDOM_PART = (1 << 64) - 1


def is_sampled(context: SpanContext) -> bool:
    """Whether the span of this context is recorded."""
    return bool(context.trace_flags & _SAMPLED)


def always_on(parent: SpanContext | None, trace_id: int) -> bool:
    """Every trace."""
    return True


def always_off(parent: SpanContext | None, trace_id: int) -> bool:
    """No trace."""
    return False


def trace_id_ratio(ratio: float) -> Sampler:
    """So many of all traces, the same ones in every service that decides in this way."""
    bound = round(ratio * (1 << 64))

    def decide(parent: SpanContext | None, trace_id: int) -> bool:
        return trace_id & _RANDOM_PART < bound

    return decide


def parent_based(root: Sampler) -> Sampler:
    """As the caller has decided; where nobody called, as `root` does."""

    def decide(parent: SpanContext | None, trace_id: int) -> bool:
        return root(parent, trace_id) if parent is None else is_sampled(parent)

    return decide


def limited(sampler: Sampler, limit: RateLimit) -> Sampler:
    """As `sampler` decides, but no more than `limit` allows."""

    def decide(parent: SpanContext | None, trace_id: int) -> bool:
        return sampler(parent, trace_id) and limit.take()

    return decide


class RateLimit:
    """So many a second, and after a quiet time at most those of one second at once. Any thread;
    two that ask at the same moment may get one too many."""

    __slots__ = ("_clock", "_left", "_per_second", "_since")

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._left = max(per_second, 1.0)
        self._since = clock()

    def take(self) -> bool:
        """Whether one more is allowed now; it is counted then."""
        now = self._clock()
        earned = (now - self._since) * self._per_second
        self._since = now
        self._left = min(self._left + earned, max(self._per_second, 1.0))
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


# OpenTelemetry's default.
DEFAULT_SAMPLER = parent_based(always_on)
# By OpenTelemetry's names, each made from its argument, which only those of a ratio look at.
SAMPLERS: dict[str, Callable[[float], Sampler]] = {
    "always_on": lambda ratio: always_on,
    "always_off": lambda ratio: always_off,
    "traceidratio": trace_id_ratio,
    "parentbased_always_on": lambda ratio: DEFAULT_SAMPLER,
    "parentbased_always_off": lambda ratio: parent_based(always_off),
    "parentbased_traceidratio": lambda ratio: parent_based(trace_id_ratio(ratio)),
}


def set_sampler(sampler: Sampler) -> None:
    """Decide by `sampler` from now on. The default is the core's own, and costs nothing."""
    if sampler is DEFAULT_SAMPLER:
        _native.set_sampler(None)
        return

    def decide(
        name: str, kind: object, parent: SpanContext | None, trace_id: int, attributes: object
    ) -> bool:
        return sampler(parent, trace_id)

    _native.set_sampler(decide)

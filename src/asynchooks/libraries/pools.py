"""Waiting for a connection of a pool: a span of its own, where there was something to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded, wrapper
from asynchooks.tracing import start_span

if TYPE_CHECKING:
    from asynchooks.tracing import Span

__all__ = ("waiting",)

# A pool that has a connection free is not worth a span. In ns.
_WORTH_A_SPAN = 1_000_000


def waiting(original: Any) -> Any:
    """A wrapper, for `Patches.wrap`, of what takes a connection from a pool. The time includes
    making one, where the pool does that while the caller waits."""

    def record(parent: Span, started: int, exc: BaseException | None) -> None:
        guarded(original, _record, parent, started, exc)

    return wrapper(original, "pool_wait", (record, _WORTH_A_SPAN))


def _record(parent: Span, started: int, exc: BaseException | None) -> None:
    span = start_span("wait for a pooled connection", parent=parent, start_time=started)
    span.set_attribute("asynchooks.kind", "pool")
    if exc is not None:
        span.record_exception(exc)
    span.end()

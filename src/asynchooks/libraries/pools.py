"""Waiting for a connection of a pool: a span of its own, where there was something to wait for."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded, is_coroutine_function, step_out
from asynchooks.tracing import current_span, start_span

if TYPE_CHECKING:
    from asynchooks.tracing import Span

__all__ = ("waiting",)

# A pool that has a connection free is not worth a span. In ns.
_WORTH_A_SPAN = 1_000_000


def waiting(original: Any) -> Any:
    """A wrapper, for `Patches.wrap`, of what takes a connection from a pool. The time includes
    making one, where the pool does that while the caller waits."""
    if is_coroutine_function(original):

        @functools.wraps(original)
        async def acquire_async(*args: Any, **kwargs: Any) -> Any:
            with _Wait(original):
                return await original(*args, **kwargs)

        return acquire_async

    @functools.wraps(original)
    def acquire(*args: Any, **kwargs: Any) -> Any:
        with _Wait(original):
            return original(*args, **kwargs)

    return acquire


class _Wait:
    """What is inside is a wait of the current request."""

    __slots__ = ("_original", "_parent", "_started")

    def __init__(self, original: Any) -> None:
        self._original = original

    def __enter__(self) -> None:
        self._parent = current_span()
        self._started = time.time_ns()

    def __exit__(self, exc_type: object, exc: BaseException | None, traceback: object) -> None:
        if exc is not None:
            step_out(exc)
        if self._parent is not None and time.time_ns() - self._started >= _WORTH_A_SPAN:
            guarded(self._original, _record, self._parent, self._started, exc)


def _record(parent: Span, started: int, exc: BaseException | None) -> None:
    span = start_span("wait for a pooled connection", parent=parent, start_time=started)
    span.set_attribute("asynchooks.kind", "pool")
    if exc is not None:
        span.record_exception(exc)
    span.end()

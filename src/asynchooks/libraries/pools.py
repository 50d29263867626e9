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
            parent = current_span()
            if parent is None:
                return await original(*args, **kwargs)
            started = time.time_ns()
            try:
                result = await original(*args, **kwargs)
            except BaseException as exc:
                step_out(exc)
                guarded(original, _record, parent, started, exc)
                raise
            guarded(original, _record, parent, started)
            return result

        return acquire_async

    @functools.wraps(original)
    def acquire(*args: Any, **kwargs: Any) -> Any:
        parent = current_span()
        if parent is None:
            return original(*args, **kwargs)
        started = time.time_ns()
        try:
            result = original(*args, **kwargs)
        except BaseException as exc:
            step_out(exc)
            guarded(original, _record, parent, started, exc)
            raise
        guarded(original, _record, parent, started)
        return result

    return acquire


def _record(parent: Span, started: int, exc: BaseException | None = None) -> None:
    if time.time_ns() - started < _WORTH_A_SPAN:
        return
    span = start_span("wait for a pooled connection", parent=parent, start_time=started)
    span.set_attribute("asynchooks.kind", "pool")
    if exc is not None:
        span.record_exception(exc)
    span.end()

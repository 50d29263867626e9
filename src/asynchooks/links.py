"""`link()`: a further cause of what runs here, besides the one that made it. Where work was handed
over or is shared, one cause alone is not the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from asynchooks import _native
from asynchooks._reporting import report_once

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Coroutine

__all__ = ("SharedWork", "Tracer", "add", "link", "links_of", "share", "trace_with")

# Of what has the most recent links; older ones are forgotten.
MAXIMUM = 10_000

# By the id of what was caused: the ids of its further causes.
_links: dict[int, tuple[int, ...]] = {}


class SharedWork(Protocol):
    """Work of nobody's that several wait for, as tracing shows it."""

    def joined(self) -> None:
        """What runs here waits for it, too."""

    def run(self, work: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        """`work`, shown."""


class Tracer(Protocol):
    """Who shows links. Tracing stands above this module, and comes down here by `trace_with`."""

    def link(self, cause: int, context: contextvars.Context | None) -> None:
        """What runs here was caused also by `cause`, which runs in `context`, where one is
        known."""

    def share(self, name: str) -> SharedWork:
        """Shared work begins."""


_tracer: Tracer | None = None


def trace_with(tracer: Tracer | None) -> None:
    """Tell `tracer` of links from now on; None: nobody."""
    global _tracer
    _tracer = tracer


def link(other: object) -> None:
    """Say that what runs here is caused also by `other`: by a snapshot, a resource (a task, a
    future, an `AsyncResource`), or what has this async id.

        batch = [queue.get_nowait() for _ in range(queue.qsize())]
        for here, row in batch:  # here = asynchooks.snapshot(), where the row was put
            asynchooks.link(here)
        await insert_all(row for _, row in batch)

    `asynchooks.resources()` has it as `linked_to` (of the 10,000 resources linked last); with
    tracing on, the current span gets a link to that of `other`. What is no resource, or older than
    `enable()`, is passed over.
    """
    cause = other if isinstance(other, int) else _native.async_id_of(other)
    context = next(iter(_native.contexts_of(other)), None)
    add(_native.execution_async_id(), cause)
    if _tracer is not None:
        try:
            _tracer.link(cause, context)
        except Exception:
            report_once("links", "a link is not shown in the trace", exc_info=True)


def add(effect: int, cause: int) -> None:
    """The resource `effect` was caused also by `cause`. 0 is none."""
    if not effect or not cause or effect == cause:
        return
    causes = _links.pop(effect, ())  # to come last, as the newest
    _links[effect] = causes if cause in causes else (*causes, cause)
    while len(_links) > MAXIMUM:
        _links.pop(next(iter(_links)), None)


def links_of(effect: int) -> tuple[int, ...]:
    """The ids of the further causes of a resource."""
    return _links.get(effect, ())


def share(name: str) -> SharedWork | None:
    """Shared work begins; None where nobody shows it."""
    if _tracer is not None:
        try:
            return _tracer.share(name)
        except Exception:
            report_once("links", "shared work is not shown in the trace", exc_info=True)
    return None

"""`isolated()`: generators whose context variables are their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

from asynchooks.context.flow import IsolatedFlow, flowing

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("isolated",)

P = ParamSpec("P")
R = TypeVar("R")


def isolated(fn: Callable[P, R]) -> Callable[P, R]:
    """A decorator: what a generator sets, in any context variable, is its own (PEP 568).

        @asynchooks.isolated
        async def rows(query):
            span.set(start(query))  # seen at each step of this generator, by nobody else
            async for row in fetch(query):
                yield row

    It sees what whoever steps it has, but for what it has set itself. For generator and async
    generator functions; also for coroutine functions, where the awaiting code then sees nothing of
    what the coroutine sets, and functions.

    Scopes (`with storage.use(...)`) in generators need none of this with the engine on, from Python
    3.12. Costs a few microseconds a step.
    """
    wrapped: Callable[P, R] = flowing(fn, IsolatedFlow, "isolated")
    return wrapped

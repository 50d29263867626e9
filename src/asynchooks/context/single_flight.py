"""`shared()`: work that is done once for all who want it at the same time, and belongs to none of
them."""

from __future__ import annotations

import asyncio
import contextvars
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from asynchooks import _native, links
from asynchooks._detached import call_detached
from asynchooks.context.flow import name_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Hashable

__all__ = ("shared",)

P = ParamSpec("P")
R = TypeVar("R")


class _Flight:
    """One run of the work, and how many wait for it."""

    __slots__ = ("_shown", "_waiters", "is_abandoned", "task")

    def __init__(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        self._waiters = 0
        self.is_abandoned = False
        self._shown = links.share(name)
        if self._shown is not None:
            work = self._shown.run(work)
        self.task: asyncio.Task[Any] = call_detached(asyncio.get_running_loop().create_task, work)

    async def wait(self) -> Any:
        links.add(_native.async_id_of(self.task), _native.execution_async_id())
        if self._shown is not None:
            self._shown.joined()
        self._waiters += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self._waiters -= 1
            if self._waiters == 0:
                self.is_abandoned = self.task.cancel()


def shared(fn: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """A decorator for coroutine functions: calls with the same arguments at the same time are one
    run (single flight). Whoever comes first does not lend it its context.

        @asynchooks.shared
        async def exchange_rate(currency):
            return await fetch(f"/rates/{currency}")

    The run is `detached()`: it has an empty context, and a root of its own, and is linked
    (`link()`) to all who wait for it. One who is cancelled leaves it; with the last one it is
    cancelled. Its result, or exception, is everybody's; nothing is kept afterwards. Around a cache
    (`alru_cache`), so that what fills the cache is nobody's.

    The arguments have to be hashable. Calls in the loops of two threads are two runs.
    """
    flights: dict[Hashable, _Flight] = {}

    @wraps(fn)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        key = loop, args, tuple(sorted(kwargs.items()))
        flight = flights.get(key)
        if flight is None or flight.is_abandoned:
            flight = flights[key] = _Flight(name_of(fn), _run(fn, *args, **kwargs))
            over = partial(_over, flights, key, flight)
            flight.task.add_done_callback(over, context=contextvars.Context())
        result: R = await flight.wait()
        return result

    return wrapper


async def _run(fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
    return await fn(*args, **kwargs)


def _over(
    flights: dict[Hashable, _Flight], key: Hashable, flight: _Flight, task: asyncio.Task[Any]
) -> None:
    if flights.get(key) is flight:
        del flights[key]

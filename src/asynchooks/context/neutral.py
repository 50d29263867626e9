"""`detached()`: what belongs to nobody, whoever happens to start it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from asynchooks import _native
from asynchooks.context.flow import NeutralFlow, flowing, name_of
from asynchooks.context.states import state_here

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ("Detached", "detached")

# A function of any kind, a coroutine, a generator or an async generator.
Work = TypeVar("Work")


class Detached:
    """A block that runs as nobody: see `detached()`. Not to be entered inside itself."""

    __slots__ = ("_state", "_who")

    def __enter__(self) -> None:
        self._state = state_here()
        if self._state is not None:
            self._state.empty()
        self._who = _native.become_nobody()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _native.become_again(*self._who)
        if self._state is not None:
            self._state.restore()
            self._state = None


@overload
def detached() -> Detached: ...
@overload
def detached(work: Work, /) -> Work: ...
def detached(work: Any = None, /) -> Any:
    """Run as nobody: in an empty context, with no cause, as a new root. For what outlives whoever
    happens to start it: a singleton's connection, a worker, a cache's timer. What it starts does
    not belong to the request that came first, and does not keep it in memory.

        with asynchooks.detached():
            worker = asyncio.create_task(serve_everybody())
            loop.call_later(3600, expire)

        client = await asynchooks.detached(connect)("redis://...")

    Without an argument, a block. What is set inside ends with it; each thing that it makes is a
    root. It may `await`; but then what it makes afterwards has its task as its cause again: the
    form with an argument is the better one.

    With a function of any kind, that function, each call of which runs as nobody (a decorator,
    too); with a coroutine or generator, that. All that one call makes has one root.
    """
    if work is None:
        return Detached()
    return flowing(work, lambda: NeutralFlow(name_of(work)), "detached")

"""Random programs: what Hypothesis draws, and `interpreter` runs.

What an operation is about it names by number, of the things of that kind that there are when it
runs: so every program means something, and the same in every run.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

from hypothesis import strategies as st

# Later than anything that a program waits for.
NEVER = 50_000


@dataclass(frozen=True, slots=True)
class Body:
    """What a task does: operations, then those of its clean-up, which run whatever happens."""

    ops: tuple[Op, ...]
    cleanup: tuple[Op, ...] = ()
    swallows: bool = False  # its cancellation, once


# What a callback may do, too.


@dataclass(frozen=True, slots=True)
class Spawn:
    body: Body
    is_eager: bool = False


@dataclass(frozen=True, slots=True)
class MakeFuture:
    pass


@dataclass(frozen=True, slots=True)
class Settle:
    future: int
    how: Literal["result", "exception", "cancel"]


@dataclass(frozen=True, slots=True)
class CancelTask:
    task: int


@dataclass(frozen=True, slots=True)
class Call:
    """Schedules a callback, soon or after a delay."""

    ops: tuple[Op, ...]
    delay: int | None = None
    is_threadsafe: bool = False


@dataclass(frozen=True, slots=True)
class CancelHandle:
    handle: int


@dataclass(frozen=True, slots=True)
class WhenDone:
    """A done callback of a future or a task, which may be taken back."""

    of: Literal["future", "task"]
    number: int
    ops: tuple[Op, ...]
    is_removed: bool = False


@dataclass(frozen=True, slots=True)
class MakeResource:
    has_trigger: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    resource: int
    ops: tuple[Op, ...]


@dataclass(frozen=True, slots=True)
class EmitDestroy:
    resource: int


@dataclass(frozen=True, slots=True)
class Put:
    pass


@dataclass(frozen=True, slots=True)
class SetEvent:
    is_set: bool


@dataclass(frozen=True, slots=True)
class Drop:
    what: Literal["future", "task", "handle", "resource"]
    number: int


@dataclass(frozen=True, slots=True)
class Fail:
    how: Literal["error", "cancelled"]


@dataclass(frozen=True, slots=True)
class StartRoot:
    pass


@dataclass(frozen=True, slots=True)
class RunThread:
    """A thread with a loop of its own, waited for."""

    body: Body


@dataclass(frozen=True, slots=True)
class Observe:
    pass


# What only a task can do.


@dataclass(frozen=True, slots=True)
class Sleep:
    delay: int


@dataclass(frozen=True, slots=True)
class Await:
    of: Literal["future", "task"]
    number: int
    is_shielded: bool = False
    timeout: int | None = None


@dataclass(frozen=True, slots=True)
class Gather:
    tasks: tuple[int, ...]
    bodies: tuple[Body, ...]
    returns_exceptions: bool


@dataclass(frozen=True, slots=True)
class Wait:
    tasks: tuple[int, ...]
    futures: tuple[int, ...]
    when: Literal["FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"]
    timeout: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    bodies: tuple[Body, ...]
    ops: tuple[Op, ...]


@dataclass(frozen=True, slots=True)
class Get:
    pass


@dataclass(frozen=True, slots=True)
class WaitEvent:
    pass


@dataclass(frozen=True, slots=True)
class Timeout:
    delay: int
    ops: tuple[Op, ...]


@dataclass(frozen=True, slots=True)
class Iterate:
    """An async generator that sleeps in between and is left after some items."""

    items: int
    left_after: int
    is_closed: bool


SyncOp = (
    Spawn
    | MakeFuture
    | Settle
    | CancelTask
    | Call
    | CancelHandle
    | WhenDone
    | MakeResource
    | Scope
    | EmitDestroy
    | Put
    | SetEvent
    | Drop
    | Fail
    | StartRoot
    | RunThread
    | Observe
)
Op = SyncOp | Sleep | Await | Gather | Wait | Group | Get | WaitEvent | Timeout | Iterate

_numbers = st.integers(0, 7)
_delays = st.integers(0, 3)
_few_numbers = st.lists(_numbers, max_size=3).map(tuple)


def _tuples(ops: st.SearchStrategy[Op], size: int) -> st.SearchStrategy[tuple[Op, ...]]:
    return st.lists(ops, max_size=size).map(tuple)


def _sync_ops(depth: int, *, has_time: bool) -> st.SearchStrategy[Op]:
    leaves = st.one_of(
        st.just(Observe()),
        st.just(MakeFuture()),
        st.builds(Settle, _numbers, st.sampled_from(["result", "exception", "cancel"])),
        st.builds(CancelTask, _numbers),
        st.builds(CancelHandle, _numbers),
        st.builds(MakeResource, st.booleans()),
        st.builds(EmitDestroy, _numbers),
        st.just(Put()),
        st.builds(SetEvent, st.booleans()),
        st.builds(Drop, st.sampled_from(["future", "task", "handle", "resource"]), _numbers),
        st.builds(Fail, st.sampled_from(["error", "cancelled"])),
        st.just(StartRoot()),
    )
    if depth == 0:
        return leaves
    inner = _tuples(_sync_ops(depth - 1, has_time=has_time), 3)
    times = [st.none(), st.just(NEVER)] + ([_delays] if has_time else [])
    bodies = _bodies(depth - 1, has_time=has_time)
    return st.one_of(
        leaves,
        st.builds(Spawn, bodies, st.booleans() if sys.version_info >= (3, 12) else st.just(False)),
        st.builds(Call, inner, st.one_of(*times), st.booleans()),
        st.builds(WhenDone, st.sampled_from(["future", "task"]), _numbers, inner, st.booleans()),
        st.builds(Scope, _numbers, inner),
        st.builds(RunThread, bodies),
    )


def _async_ops(depth: int, *, has_time: bool) -> st.SearchStrategy[Op]:
    delays = _delays if has_time else st.just(0)
    timeouts = st.one_of(st.none(), _delays) if has_time else st.none()
    leaves = st.one_of(
        st.builds(Sleep, delays),
        st.builds(Await, st.sampled_from(["future", "task"]), _numbers, st.booleans(), timeouts),
        st.builds(
            Wait,
            _few_numbers,
            _few_numbers,
            st.sampled_from(["FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"]),
            timeouts,
        ),
        st.just(Get()),
        st.just(WaitEvent()),
        st.builds(Iterate, st.integers(1, 3), st.integers(0, 3), st.booleans()),
    )
    if depth == 0:
        return st.one_of(leaves, _sync_ops(0, has_time=has_time))
    bodies = st.lists(_bodies(depth - 1, has_time=has_time), max_size=2).map(tuple)
    inner = _tuples(_async_ops(depth - 1, has_time=has_time), 3)
    composed = [
        st.builds(Gather, _few_numbers, bodies, st.booleans()),
        st.builds(Group, bodies, inner),
    ]
    if has_time:
        composed.append(st.builds(Timeout, _delays, inner))
    return st.one_of(leaves, _sync_ops(depth, has_time=has_time), *composed)


def _bodies(depth: int, *, has_time: bool) -> st.SearchStrategy[Body]:
    ops = _async_ops(depth, has_time=has_time)
    return st.builds(Body, _tuples(ops, 4), _tuples(ops, 1), st.booleans())


def programs(*, has_time: bool) -> st.SearchStrategy[Body]:
    """What a program's main task does. Without time it has no timer but such as never fire."""
    ops = _async_ops(3, has_time=has_time)
    return st.builds(Body, st.lists(ops, min_size=1, max_size=8).map(tuple))


def count_threads(program: object) -> int:
    """How many threads a program may start, which is how many loops it may need."""
    if isinstance(program, tuple):
        return sum(map(count_threads, program))
    fields = getattr(program, "__slots__", ())
    return isinstance(program, RunThread) + sum(
        count_threads(getattr(program, name)) for name in fields
    )

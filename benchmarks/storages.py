"""What `AsyncLocalStorage` costs, against context variables used by hand: `make bench-storages`, or
`python -m benchmarks.storages --help`.

Both sides of a row run in this process, in turn, so that what else the machine does meets both.
Compared is CPU time; the engine is on. A row with a limit is one that asynchooks promises to keep.
"""

from __future__ import annotations

import argparse
import asyncio
import contextvars
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import asynchooks

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

WARM_UP = 2

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
storage = asynchooks.AsyncLocalStorage[int](name="storage")
many = [asynchooks.AsyncLocalStorage[int](name=f"storage {number}") for number in range(10)]

# Does something so many times.
Side = Callable[[int], None]


class Row(NamedTuple):
    """One comparison: what is measured, by hand and with a storage, how often in a round, and the
    ratio that it may have."""

    name: str
    by_hand: Side
    ours: Side
    times: int
    limit: float | None


def nothing() -> None:
    pass


def get_by_hand(times: int) -> None:
    get = variable
    for _ in range(times):
        get.get()


def get_store(times: int) -> None:
    get = storage
    for _ in range(times):
        get.get_store()


def set_and_reset() -> None:
    token = variable.set(1)
    try:
        nothing()
    finally:
        variable.reset(token)


def run_by_hand(times: int) -> None:
    for _ in range(times):
        set_and_reset()


def run(times: int) -> None:
    for _ in range(times):
        storage.run(1, nothing)


class Set:
    """A scope by hand."""

    __slots__ = ("_token", "_value")

    def __init__(self, value: int) -> None:
        self._value = value

    def __enter__(self) -> None:
        self._token = variable.set(self._value)

    def __exit__(self, *exc_info: object) -> None:
        variable.reset(self._token)


def use_by_hand(times: int) -> None:
    for _ in range(times):
        with Set(1):
            nothing()


def use(times: int) -> None:
    for _ in range(times):
        with storage.use(1):
            nothing()


def tasks_with(storages: list[asynchooks.AsyncLocalStorage[int]]) -> Side:
    """Tasks that read one store, where so many storages have one."""

    async def leaf() -> None:
        storages[0].get_store()

    async def main(times: int) -> None:
        for each in storages:
            each.enter_with(1)
        for _ in range(times):
            await asyncio.create_task(leaf())

    return lambda times: asyncio.run(main(times))


def generator(times: int) -> Iterator[int]:
    yield from range(times)


def generator_with_a_scope(times: int) -> Iterator[int]:
    with storage.use(1):
        yield from range(times)


def steps_of(function: Callable[[int], Iterator[int]]) -> Side:
    def side(times: int) -> None:
        for _ in function(times):
            pass

    return side


ROWS = (
    Row("get_store() : ContextVar.get()", get_by_hand, get_store, 1_000_000, 1.15),
    Row("run(store, fn) : set and reset", run_by_hand, run, 300_000, 1.5),
    Row("with use(store) : with a class", use_by_hand, use, 100_000, None),
    Row("a task with 10 storages : with 1", tasks_with(many[:1]), tasks_with(many), 10_000, 1.05),
    Row(
        "generator step in a scope : without",
        steps_of(generator),
        steps_of(generator_with_a_scope),
        100_000,
        None,
    ),
)


def measure(side: Side, times: int) -> float:
    """The CPU time of one, in ns."""
    context = contextvars.copy_context()
    started = time.process_time_ns()
    context.run(side, times)
    return (time.process_time_ns() - started) / times


def compare(row: Row, rounds: int) -> list[tuple[float, float]]:
    """Each side, in turn; each goes first as often as the other."""
    found = []
    for number in range(WARM_UP + rounds):
        first, second = (row.by_hand, row.ours) if number % 2 else (row.ours, row.by_hand)
        one, two = measure(first, row.times), measure(second, row.times)
        if number >= WARM_UP:
            found.append((one, two) if first is row.by_hand else (two, one))
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="default 15, at least 2")
    rounds = parser.parse_args(argv).rounds
    if rounds < 2:
        parser.error("expected at least 2 rounds, for a spread")
    asynchooks.enable()
    variable.set(1)
    storage.enter_with(1)
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} CPUs; CPU time of one, medians of {rounds} rounds"
    )
    print(f"\n{'':<38}{'by hand':>9}{'ours':>12}{'ratio':>8}   middle half   limit")
    for row in ROWS:
        pairs = compare(row, rounds)
        low, middle, high = statistics.quantiles([ours / hand for hand, ours in pairs], n=4)
        limit = f"{row.limit:>7.2f}" if row.limit is not None else ""
        print(
            f"{row.name:<38}{statistics.median(hand for hand, _ in pairs):>6.0f} ns"
            f"{statistics.median(ours for _, ours in pairs):>9.0f} ns{middle:>8.2f}"
            f"   {low:.2f} - {high:.2f} {limit}".rstrip()
        )


if __name__ == "__main__":
    main()

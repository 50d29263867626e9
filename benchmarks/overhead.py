"""What asynchooks costs: plain asyncio against asyncio with the engine on (ids, causes, the
execution stack, before and after of every step), also with four Python hooks that do nothing, and
with many resources alive. `make bench`, or `python -m benchmarks.overhead --help`.

Both sides run in processes of their own that live as long as the run, and take turns workload by
workload, so that what else the machine does meets both. Compared is CPU time; a ratio below 1 means
that asynchooks is faster than plain asyncio.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

LOOPS = ("asyncio", "uvloop")
# The first rounds warm up caches, free lists and the specializing interpreter.
WARM_UP = 2
# What the tables of hooks and of many live resources measure.
STEP = "await sleep(0)"
BIRTH = "await create_task(leaf())"
LIVE = (100, 10_000, 1_000_000)


class Worker:
    """A process that measures on request: a module of ours that reads a line for each measurement,
    and writes the CPU time of one operation in ns."""

    def __init__(
        self, stack: ExitStack, module: str, *arguments: str, python: str = sys.executable
    ) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "ASYNCHOOKS"}
        self._process = stack.enter_context(
            subprocess.Popen(
                [python, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**environment, "PYTHONHASHSEED": "0"},
            )
        )

    def measure(self, request: str) -> float:
        """The CPU time of one operation, in ns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(request, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())


class Row(NamedTuple):
    """One workload's outcome."""

    workload: str
    plain: float
    enabled: float
    ratio: float
    low: float
    high: float


def compare(
    loop: str, workloads: Sequence[str], rounds: int, mode: str = "enabled", live: int = 0
) -> list[Row]:
    """Measure every workload plain and in `mode`, in turn, `rounds` times."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in workloads}
    with ExitStack() as stack:
        plain, enabled = (
            Worker(stack, "benchmarks.worker", side, loop) for side in ("plain", mode)
        )
        for number in range(WARM_UP + rounds):
            for name in workloads:
                # Each goes first as often as the other.
                first, second = (plain, enabled) if number % 2 else (enabled, plain)
                request = f"{name}\t{live}"
                one, two = first.measure(request), second.measure(request)
                if number >= WARM_UP:
                    found[name].append((one, two) if first is plain else (two, one))
    return [summarize(name, pairs) for name, pairs in found.items()]


def summarize(workload: str, pairs: list[tuple[float, float]]) -> Row:
    """Medians, and between which ratios the middle half of the rounds lies."""
    ratios = [enabled / plain for plain, enabled in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return Row(
        workload,
        statistics.median(plain for plain, _ in pairs),
        statistics.median(enabled for _, enabled in pairs),
        middle,
        low,
        high,
    )


def show(title: str, rows: list[Row]) -> None:
    print(f"\n{title:<28}{'plain':>10}{'enabled':>12}{'ratio':>9}   middle half")
    for row in rows:
        print(
            f"  {row.workload:<26}{row.plain / 1000:>7.2f} µs{row.enabled / 1000:>9.2f} µs"
            f"{row.ratio:>9.2f}   {row.low:.2f} - {row.high:.2f}"
        )
    if len(rows) > 1:
        mean = statistics.geometric_mean(row.ratio for row in rows)
        print(f"  {'geometric mean':<48}{mean:>9.2f}")


def show_hooks(loop: str, rounds: int) -> None:
    """With Python code at every event of every resource."""
    show(f"{loop}, four no-op hooks", compare(loop, [STEP], rounds, "hooks"))


def show_live(loop: str, rounds: int) -> None:
    """With ever more resources alive."""
    rows = [
        compare(loop, [BIRTH], rounds, live=live)[0]._replace(workload=f"{live:,} alive")
        for live in LIVE
    ]
    show(f"{loop}, create_task with", rows)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="default 15, at least 2")
    parser.add_argument("--loop", choices=LOOPS, action="append", help="default: both")
    parser.add_argument("--only", metavar="TEXT", default="", help="workloads that contain TEXT")
    arguments = parser.parse_args(argv)
    workloads = [name for name in WORKLOADS if arguments.only in name]
    if not workloads:
        parser.error(f"no workload contains {arguments.only!r}; there are {', '.join(WORKLOADS)}")
    if arguments.rounds < 2:
        parser.error("expected at least 2 rounds, for a spread")
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} CPUs; CPU time of one operation, "
        f"medians of {arguments.rounds} rounds"
    )
    for loop in arguments.loop or LOOPS:
        if loop != "asyncio" and find_spec(loop) is None:
            print(f"\n{loop} is not installed")
        else:
            show(loop, compare(loop, workloads, arguments.rounds))
            if not arguments.only:
                show_hooks(loop, arguments.rounds)
                show_live(loop, arguments.rounds)


if __name__ == "__main__":
    main()

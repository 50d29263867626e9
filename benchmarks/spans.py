"""What a span costs, from its start to its bytes: ours against OpenTelemetry's SDK and ddtrace; and
one that is not sampled against one that is. `make bench-spans`.

Each tracer runs in a process of its own, and they take turns. Compared is CPU time of all threads:
OpenTelemetry's exporter thread counts, as our encoding does, which the application's thread does.
ddtrace patches what it is imported beside, so it gets an environment of its own, in build/.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import venv
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.overhead import WARM_UP, Row, Worker, summarize

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

DDTRACE = "ddtrace==4.16.0"
FIVE, UNSAMPLED, CALLS = "five attributes", "not sampled", "calls alone"
AT_START = "attributes at the start"


class Side(NamedTuple):
    """Whose cost of what is measured."""

    tracer: str
    workload: str


OURS = Side("asynchooks", FIVE)
INERT = Side("calls", CALLS)
COMPARISONS = (
    ("a span of five attributes, of OpenTelemetry's", Side("opentelemetry", FIVE), OURS),
    ("a span of five attributes, of ddtrace's", Side("ddtrace", FIVE), OURS),
    ("one not sampled, of one sampled", OURS, Side("asynchooks", UNSAMPLED)),
    (
        "the same, attributes at the start",
        Side("asynchooks", AT_START),
        Side("asynchooks", f"{AT_START}, not sampled"),
    ),
    (
        "one not sampled, of OpenTelemetry's",
        Side("opentelemetry", UNSAMPLED),
        Side("asynchooks", UNSAMPLED),
    ),
)


def ddtrace_python() -> str | None:
    """The Python of an environment with ddtrace in it, made where there is none; or None."""
    home = Path("build", f"ddtrace-{sys.version_info.major}.{sys.version_info.minor}")
    python = home / "bin" / "python"
    if not (home / ".installed").exists():
        try:
            venv.create(home, with_pip=True, clear=True)
            command = [str(python), "-m", "pip", "install", "--quiet", DDTRACE]
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as exc:
            said = exc.stderr if isinstance(exc, subprocess.CalledProcessError) else str(exc)
            print(f"left out: {DDTRACE} cannot be installed:\n{said.strip()}")
            return None
        (home / ".installed").touch()
    return str(python)


def measure(rounds: int, pythons: dict[str, str]) -> dict[Side, list[float]]:
    """The cost of everything, `rounds` times, in turn."""
    sides = {side for _, *pair in COMPARISONS for side in pair} | {INERT}
    found: dict[Side, list[float]] = {side: [] for side in sorted(sides) if side.tracer in pythons}
    with ExitStack() as stack:
        workers = {
            tracer: Worker(stack, "benchmarks.span_worker", tracer, python=python)
            for tracer, python in pythons.items()
        }
        for number in range(WARM_UP + rounds):
            order = list(found) if number % 2 else list(reversed(found))
            for side in order:
                cost = workers[side.tracer].measure(side.workload)
                if number >= WARM_UP:
                    found[side].append(cost)
    return found


def show(title: str, row: Row) -> None:
    print(
        f"  {title:<46}{row.plain:>9.0f} ns{row.enabled:>9.0f} ns   1/{1 / row.ratio:<6.1f}"
        f" 1/{1 / row.low:.1f} - 1/{1 / row.high:.1f}"
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=25, help="default 25, at least 2")
    arguments = parser.parse_args(argv)
    if arguments.rounds < 2:
        parser.error("expected at least 2 rounds, for a spread")
    pythons = dict.fromkeys(("calls", "asynchooks", "opentelemetry"), sys.executable)
    ddtrace = ddtrace_python()
    if ddtrace is not None:
        pythons["ddtrace"] = ddtrace
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} CPUs; CPU time of one span, medians of "
        f"{arguments.rounds} rounds"
    )
    found = measure(arguments.rounds, pythons)
    print(f"\n  {'':<46}{'theirs':>12}{'ours':>12}   ratio    middle half")
    for title, theirs, ours in COMPARISONS:
        if theirs in found:
            show(title, summarize(title, list(zip(found[theirs], found[ours], strict=True))))
    calls, sampled, unsampled = (
        statistics.median(found[side]) for side in (INERT, OURS, Side("asynchooks", UNSAMPLED))
    )
    print(
        f"\n  The calls alone, of methods that do nothing, cost {calls:.0f} ns. Beyond them one"
        f"\n  sampled costs {sampled - calls:.0f} ns, one not sampled {unsampled - calls:.0f} ns."
    )


if __name__ == "__main__":
    main()

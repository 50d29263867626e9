"""One side of a comparison, in a process of its own: `python -m benchmarks.worker MODE LOOP`.

Reads a line for each measurement, the name of a workload and how many resources are to be alive
meanwhile (with a tab between), and writes the CPU time of one operation in ns. In mode "plain"
asynchooks is never imported.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time

from benchmarks.workloads import WORKLOADS

__all__ = ("MODES", "main")

MODES = ("plain", "enabled", "hooks")


def main() -> None:
    mode, loop = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        # Where two threads hand each other work, moving between processors scatters by a multiple
        # of what is measured.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    prepare(mode)
    factory = None
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        alive: list[asyncio.Future[None]] = []
        for line in sys.stdin:
            name, live = line.rstrip("\n").split("\t")
            workload, times = WORKLOADS[name]

            async def measure() -> int:
                keep_alive(alive, int(live))  # noqa: B023 -- awaited at once
                started = time.process_time_ns()
                await workload(times)  # noqa: B023 -- as above
                return time.process_time_ns() - started

            print(runner.run(measure()) / times, flush=True)
        alive.clear()


def prepare(mode: str) -> None:
    """Put asynchooks in force, as the mode wants it."""
    if mode == "plain":
        assert "asynchooks" not in sys.modules
        return
    import asynchooks

    asynchooks.enable()
    assert asynchooks.is_enabled()
    if mode == "hooks":
        asynchooks.create_hook(
            init=lambda async_id, kind, trigger, resource: None,
            before=lambda async_id: None,
            after=lambda async_id: None,
            destroy=lambda async_id: None,
        ).enable()


def keep_alive(alive: list[asyncio.Future[None]], count: int) -> None:
    """Make `alive` hold so many futures. The garbage collector does not look at them."""
    del alive[count:]
    loop = asyncio.get_running_loop()
    alive += [loop.create_future() for _ in range(count - len(alive))]
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    main()

"""A long life: many tasks of every kind, and nothing of them left. `make soak`, or with N=200000.

Prints the memory and what lives after every tenth of them. Ends with status 1 where memory has
grown by more than `ALLOWED_KIB` since the first tenth, or where anything lives at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from pathlib import Path

import asynchooks
from asynchooks import _native

# The allocators' own, which one tenth may use a little more of than another. A single record kept
# for each thousand tasks would be more than this in 10 million.
ALLOWED_KIB = 1024
PER_ROUND = 100


async def leaf() -> None:
    await asyncio.sleep(0)


async def fail() -> None:
    await asyncio.sleep(0)
    raise ValueError("on purpose")


async def wait_for(future: asyncio.Future[int]) -> int:
    return await future


async def many_at_once() -> None:
    await asyncio.gather(*[leaf() for _ in range(40)])


async def in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(leaf())


async def cancelled_and_failed() -> None:
    tasks = [asyncio.create_task(leaf()) for _ in range(10)]
    tasks[0].cancel()
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    tasks += [asyncio.create_task(fail()) for _ in range(10)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, BaseException) for result in results)


async def by_timers_and_futures() -> None:
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[int]] = [loop.create_future() for _ in range(19)]
    tasks = [asyncio.create_task(wait_for(future)) for future in futures]
    for number, future in enumerate(futures):
        if number % 2:
            loop.call_soon(future.set_result, number)
        else:
            loop.call_later(0, future.set_result, number)
        loop.call_later(1000, future.cancel).cancel()
    assert await asyncio.gather(*tasks) == list(range(19))
    asynchooks.AsyncResource("soak").run_in_async_scope(int)


async def one_round() -> None:
    """100 tasks, in one of which this runs."""
    await many_at_once()
    await in_a_group()
    await cancelled_and_failed()
    await by_timers_and_futures()


async def rounds(count: int) -> None:
    for _ in range(count):
        await asyncio.create_task(one_round())


def resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", type=int, help="how many tasks to make, altogether")
    parser.add_argument("--hooks", action="store_true", help="tell five hooks of everything")
    arguments = parser.parse_args()

    asynchooks.enable()
    told = dict.fromkeys(("init", "before", "after", "settled", "destroy"), 0)
    if arguments.hooks:

        def count(event: str) -> None:
            told[event] += 1

        asynchooks.create_hook(
            init=lambda *_: count("init"),
            before=lambda _: count("before"),
            after=lambda _: count("after"),
            settled=lambda _: count("settled"),
            destroy=lambda _: count("destroy"),
        ).enable()

    first = last = 0
    started = time.monotonic()
    with asyncio.Runner() as runner:
        for tenth in range(1, 11):
            runner.run(rounds(arguments.tasks // 10 // PER_ROUND))
            gc.collect()
            last = resident_kib()
            first = first or last
            alive = {kind: number for kind, number in _native.live_counts().items() if number}
            print(
                f"{tenth * arguments.tasks // 10:>11,} tasks {time.monotonic() - started:>8.1f} s "
                f"{last:>9,} KiB  alive: {alive}",
                flush=True,
            )
    gc.collect()
    alive = {kind: number for kind, number in _native.live_counts().items() if number}
    print(f"at the end alive: {alive}; told: {told}; grown by {last - first:,} KiB")
    return int(bool(alive) or last - first > ALLOWED_KIB)


if __name__ == "__main__":
    sys.exit(main())

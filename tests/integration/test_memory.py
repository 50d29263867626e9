"""A long life: nothing is kept of the dead, and the memory of many tasks is that of few."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc"),
]

SCRIPT = """
import asyncio
import sys

import asynchooks
from asynchooks import _native


async def leaf():
    await asyncio.sleep(0)


async def run(tasks):
    for _ in range(tasks // 100):
        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(leaf())


def resident_kib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


asynchooks.enable()
calls = 0


def count(async_id, *rest):
    global calls
    calls += 1


if sys.argv[1] == "hooks":
    asynchooks.create_hook(init=count, before=count, after=count, destroy=count).enable()
with asyncio.Runner() as runner:
    runner.run(run(50_000))
    before = resident_kib()
    runner.run(run(1_000_000))
    grown = resident_kib() - before
    counts = _native.live_counts()
assert counts["Task"] == counts["Future"] == 0, counts
assert grown < 1024, f"{grown} KiB more after a million tasks"
assert (calls > 1_000_000) == (sys.argv[1] == "hooks")
"""


@pytest.mark.parametrize("with_hooks", ["plain", "hooks"])
def test_a_million_tasks_leave_nothing(with_hooks: str) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT, with_hooks], check=True, timeout=300)

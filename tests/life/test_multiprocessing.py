"""multiprocessing, by each way it has to start a process, with the engine on in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.life.conftest import PassScript, SameOutcome

PROCESSES = """
import asyncio, multiprocessing, sys, warnings
from concurrent.futures import ProcessPoolExecutor
warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, from 3.12 on
async def leaf(number):
    await asyncio.sleep(0)
    return number
async def gather(number):
    return sum(await asyncio.gather(*[leaf(number) for _ in range(10)]))
def work(number):
    return asyncio.run(gather(number))
def put(queue, number):
    queue.put(work(number))
async def main(context):
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        print(await asyncio.gather(*[loop.run_in_executor(pool, work, n) for n in range(4)]))
    queue = context.Queue()
    process = context.Process(target=put, args=(queue, 5))
    process.start()
    print(await asyncio.to_thread(queue.get))
    process.join()
    print(process.exitcode)
if __name__ == "__main__":
    asyncio.run(main(multiprocessing.get_context(sys.argv[1])))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_work_as_without_us(same_outcome: SameOutcome, method: str) -> None:
    outcome = same_outcome(PROCESSES, method)
    assert outcome.lines == ["[0, 10, 20, 30]", "50", "0"]


def test_a_forked_process_knows_only_its_own(pass_script: PassScript) -> None:
    lines = pass_script(
        """
import asyncio, multiprocessing, warnings
import asynchooks
from asynchooks import _native
warnings.simplefilter("ignore", DeprecationWarning)
asynchooks.enable()
def look(queue):
    alive = [info.kind for info in asynchooks.resources() if info.kind in ("Task", "Future")]
    queue.put((asynchooks.is_enabled(), alive, _native.live_counts()["Task"]))
async def main():
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=look, args=(queue,))
    process.start()
    print(queue.get())
    process.join()
    print(process.exitcode)
asyncio.run(main())
"""
    )
    assert lines == ["(True, [], 0)", "0"]

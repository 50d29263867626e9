"""The garbage collector at every moment, and with everything frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.life.conftest import PassScript

WORK = """
import asyncio, gc, sys, threading
import asynchooks
from asynchooks import _native
async def leaf(number):
    await asyncio.sleep(0)
    if number % 3 == 0:
        raise ValueError("on purpose")
    return number
async def main():
    loop = asyncio.get_running_loop()
    for _ in range(5):
        tasks = [asyncio.create_task(leaf(number)) for number in range(6)]
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        future = loop.create_future()
        future.cycle = [future, loop.call_later(1000, print, future), asynchooks.AsyncResource("x")]
        future.cycle[1].cancel()
        loop.call_soon(collect)
        loop.call_soon(future.set_result, 1)
        await future
        await asyncio.to_thread(collect)
class Future(asyncio.Future):  # with a __dict__
    pass
def collect():
    gc.collect()
def run():
    loop = asyncio.new_event_loop()
    loop.create_future = lambda: Future(loop=loop)
    try:
        loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
def alive():
    gc.collect()
    return {kind: count for kind, count in _native.live_counts().items() if count}
"""

STRESSES = {
    "a collection at every allocation": """
gc.set_threshold(1, 1, 1)
for _ in range(3):
    run()
gc.set_threshold(700)
print(alive())
""",
    "in threads": """
gc.set_threshold(5, 2, 2)
threads = [threading.Thread(target=run) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
del threads, thread
gc.set_threshold(700)
print(alive())
""",
    "frozen in between": """
run()
gc.freeze()
run()
gc.unfreeze()
print(alive())
""",
    "switched off": """
gc.disable()
run()
gc.enable()
print(alive())
""",
    "looking at everything that it knows": """
def look(phase, info):
    if phase == "stop":
        for _ in range(2):
            asynchooks.resources()
gc.callbacks.append(look)
gc.set_threshold(50, 2, 2)
run()
gc.callbacks.clear()
for found in gc.get_objects():
    if type(found).__module__.startswith(("asyncio", "asynchooks")):
        gc.get_referents(found)
        gc.is_tracked(found)
        repr(type(found))
del found
print(alive())
""",
}


@pytest.mark.parametrize("engine", ["engine", "hooks"])
@pytest.mark.parametrize("stress", STRESSES.values(), ids=STRESSES)
def test_nothing_breaks_and_nothing_stays(
    pass_script: PassScript, stress: str, engine: str
) -> None:
    assert pass_script(WORK + stress, engine=engine) == ["{}"]

"""Sub-interpreters: refused with one message that says why, and harmless to the main one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.life.conftest import PassScript, SameOutcome

# 3.12 itself crashes at the exit of a process whose sub-interpreter has run a loop.
LEAVE = """
sys.stdout.flush()
os._exit(0)
"""
CREATE = """
import os, sys, threading
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
def run(code):
    interpreter = interpreters.create()
    interpreters.run_string(interpreter, code)
    interpreters.destroy(interpreter)
"""

REFUSED = (
    CREATE
    + '''
run("""
for attempt in range(2):
    try:
        import asynchooks
    except ImportError as exc:
        print("interpreter" in str(exc))
    else:
        print("imported")
""")
import asyncio, asynchooks
asynchooks.enable()
print(asynchooks.is_enabled())
'''
)


def test_it_is_refused_and_the_main_one_goes_on(pass_script: PassScript) -> None:
    assert pass_script(REFUSED) == ["True", "True", "True"]
    assert pass_script(REFUSED, engine="hooks") == ["True", "True", "True"]


# Its tasks are of types of its own, or, in 3.11, of those that all interpreters share.
LOOPS = (
    CREATE
    + '''
CODE = """
import asyncio, gc, os
async def leaf():
    await asyncio.sleep(0)
async def main():
    for _ in range(20):
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(leaf())
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0, future.set_result, None)
        await future
asyncio.run(main())
gc.collect()
os.write(1, b"ran ")
"""
for _ in range(3):
    run(CODE)
# Up to 3.12, sub-interpreters in threads trouble each other, without us: 3.12.1 aborts in the
# allocator once in 40 runs.
count = 3 if sys.version_info >= (3, 13) else 0
threads = [threading.Thread(target=run, args=(CODE,)) for _ in range(count)]
for thread in threads:
    thread.start()
exec(CODE)
for thread in threads:
    thread.join()
'''
    + LEAVE
)


def test_its_loops_run_as_without_us(same_outcome: SameOutcome) -> None:
    assert same_outcome(LOOPS).output.count("ran") >= 4


@pytest.mark.parametrize("engine", ["engine", "hooks"])
def test_what_it_does_is_not_counted_here(pass_script: PassScript, engine: str) -> None:
    script = (
        CREATE
        + '''
run("""
import asyncio
async def main():
    await asyncio.gather(*[asyncio.sleep(0) for _ in range(10)])
asyncio.run(main())
""")
from asynchooks import _native
print(_native.live_counts()["Task"], _native.live_counts()["Future"])
'''
        + LEAVE
    )
    assert pass_script(script, engine=engine) == ["0 0"]

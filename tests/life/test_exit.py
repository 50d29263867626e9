"""The interpreter exits with work pending: what it says and its status are as without us."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.life.conftest import RunScript, SameOutcome

# By what is pending or how it ends: the script, and the status it ends with.
SCRIPTS = {
    "pending tasks": (
        0,
        """
import asyncio
async def wait():
    await asyncio.Future()
async def main():
    tasks = [asyncio.create_task(wait(), name=f"wait {i}") for i in range(3)]
    await asyncio.sleep(0)
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
""",
    ),
    "pending tasks of a closed loop": (
        0,
        """
import asyncio
async def wait():
    await asyncio.Future()
async def main():
    asyncio.create_task(wait(), name="wait")
    await asyncio.sleep(0)
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
""",
    ),
    "an exception that nobody has retrieved": (
        0,
        """
import asyncio
async def fail():
    raise ValueError("on purpose")
async def main():
    global task, future
    task = asyncio.create_task(fail(), name="failing")
    future = asyncio.get_running_loop().create_future()
    future.set_exception(LookupError("on purpose"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
asyncio.run(main())
""",
    ),
    "timers, callbacks and readers": (
        0,
        """
import asyncio, os
loop = asyncio.new_event_loop()
reader, writer = os.pipe()
loop.call_later(1000, print, "never")
loop.call_soon(print, "never")
loop.call_soon_threadsafe(print, "never")
loop.add_reader(reader, print, "never")
keep = loop.call_at(loop.time() + 1000, print, "never")
""",
    ),
    "a thread that runs on": (
        0,
        """
import asyncio, threading
main_is_over, thread_runs = threading.Event(), threading.Event()
async def main():
    thread_runs.set()
    while not main_is_over.is_set():
        await asyncio.create_task(asyncio.sleep(0))
    print("the thread's loop is done")
threading.Thread(target=lambda: asyncio.run(main())).start()
thread_runs.wait()
threading._register_atexit(main_is_over.set)
""",
    ),
    "executors with queued jobs": (
        0,
        """
import threading
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(1)
main_is_over = threading.Event()
pool.submit(main_is_over.wait)
for i in range(5):
    pool.submit(print, i, flush=True)
threading._register_atexit(main_is_over.set)
""",
    ),
    "asynchronous generators": (
        0,
        """
import asyncio
async def count():
    try:
        while True:
            yield 1
    finally:
        print("closed")
async def main():
    global generator
    generator = count()
    print(await anext(generator))
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
""",
    ),
    "sys.exit() in a task": (
        3,
        """
import asyncio, sys
async def leave():
    sys.exit(3)
async def main():
    other = asyncio.create_task(asyncio.sleep(1000))
    await asyncio.create_task(leave())
asyncio.run(main())
""",
    ),
    "sys.exit() in a callback": (
        3,
        """
import asyncio, sys
loop = asyncio.new_event_loop()
loop.call_soon(sys.exit, 3)
loop.call_soon(print, "never")
loop.run_forever()
""",
    ),
    "sys.exit() in a done-callback": (
        3,
        """
import asyncio, sys
async def main():
    task = asyncio.create_task(asyncio.sleep(0))
    task.add_done_callback(lambda task: sys.exit(3))
    await asyncio.Future()
asyncio.run(main())
""",
    ),
    "sys.exit() in a signal handler": (
        3,
        """
import asyncio, os, signal, sys
signal.signal(signal.SIGTERM, lambda *args: sys.exit(3))
async def main():
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.Future()
asyncio.run(main())
""",
    ),
    "sys.exit() in the loop's signal handler": (
        3,
        """
import asyncio, os, signal, sys
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sys.exit, 3)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.Future()
asyncio.run(main())
""",
    ),
    "sys.exit() in a thread's task": (
        0,
        """
import asyncio, sys, threading
async def leave():
    sys.exit(3)
thread = threading.Thread(target=lambda: asyncio.run(leave()))
thread.start()
thread.join()
print("goes on")
""",
    ),
    "Ctrl-C in a task": (
        -2,
        """
import asyncio, os, signal
async def main():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Future()
    finally:
        print("cleaned up", flush=True)
asyncio.run(main())
""",
    ),
    "Ctrl-C in a callback": (
        -2,
        """
import asyncio, signal
loop = asyncio.new_event_loop()
loop.call_soon(signal.raise_signal, signal.SIGINT)
loop.run_forever()
""",
    ),
    "os._exit() in a task": (
        5,
        """
import asyncio, os
async def leave():
    print("leaves", flush=True)
    os._exit(5)
asyncio.run(leave())
""",
    ),
    "an exception leaves the loop": (
        1,
        """
import asyncio
async def fail():
    await asyncio.sleep(0)
    raise ValueError("on purpose")
async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(fail())
        group.create_task(asyncio.sleep(1000))
asyncio.run(main())
""",
    ),
    "exit functions with loops of their own": (
        0,
        """
import asyncio, atexit
async def clean(which):
    await asyncio.create_task(asyncio.sleep(0))
    print("clean", which)
for which in range(3):
    atexit.register(lambda which=which: asyncio.run(clean(which)))
print("main is over")
""",
    ),
    "an exit function that fails": (
        0,
        """
import asyncio, atexit
def fail():
    raise ValueError("on purpose")
atexit.register(print, "still called")
atexit.register(fail)
asyncio.run(asyncio.sleep(0))
""",
    ),
    "tasks in cycles with finalizers": (
        0,
        """
import asyncio, gc
gc.disable()  # a collection on the way, which comes when it comes, changes the order at the end
class Finalized:
    def __del__(self):
        print("finalized")
async def hold(what):
    await asyncio.Future()
async def main():
    for _ in range(3):
        held = Finalized()
        held.task = asyncio.create_task(hold(held), name="hold")
    await asyncio.sleep(0)
loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda loop, context: print(context["message"]))
loop.run_until_complete(main())
""",
    ),
}


@pytest.mark.parametrize(("status", "script"), SCRIPTS.values(), ids=SCRIPTS)
def test_exiting_is_as_without_us(same_outcome: SameOutcome, status: int, script: str) -> None:
    same_outcome(script, status=status)


DAEMONS = """
import asyncio, threading
steps = threading.Semaphore(0)
async def leaf():
    await asyncio.sleep(0)
async def main():
    while True:
        await asyncio.gather(*[leaf() for _ in range(10)])
        asyncio.get_running_loop().call_soon(leaf)
        steps.release()
import warnings
warnings.simplefilter("ignore")
for _ in range(3):
    threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
for _ in range(30):
    steps.acquire()
"""


@pytest.mark.parametrize("engine", ["engine", "hooks"])
def test_daemon_threads_step_while_the_interpreter_goes_down(
    run_script: RunScript, engine: str
) -> None:
    for _ in range(5):
        outcome = run_script(DAEMONS, engine=engine)
        assert (outcome.status, outcome.errors) == (0, "")


def test_nobody_switches_the_engine_on_again_at_exit(run_script: RunScript) -> None:
    """Neither an exit function that comes later nor a thread that never stops trying."""
    outcome = run_script(
        """
import atexit, threading
import asynchooks
def late():
    asynchooks.enable()
    print(asynchooks.is_enabled())
atexit.register(late)
def toggle():
    while True:
        asynchooks.enable()
        toggled.set()
toggled = threading.Event()
threading.Thread(target=toggle, daemon=True).start()
toggled.wait()
"""
    )
    assert (outcome.status, outcome.output, outcome.errors) == (0, "False\n", "")


def test_exit_functions_registered_after_enable_are_still_watched(run_script: RunScript) -> None:
    outcome = run_script(
        """
import atexit
import asynchooks
atexit.register(lambda: print("earlier", asynchooks.is_enabled()))
asynchooks.enable()
atexit.register(lambda: print("later", asynchooks.is_enabled()))
"""
    )
    assert (outcome.lines, outcome.errors) == (["later True", "earlier False"], "")


HOOKS_AT_EXIT = """
import asyncio
import asynchooks
asynchooks.enable()
seen = set()
def note(async_id, *rest):
    seen.add(async_id)
hook = asynchooks.create_hook(init=note, before=note, after=note, destroy=note, settled=note)
hook.enable()
class Late:
    def __del__(self, range=range):
        asyncio_, asynchooks_ = self.modules
        for _ in range(100):
            asynchooks_.AsyncResource("late")
            loop = asyncio_.new_event_loop()
            loop.call_soon(len)
            loop.close()
late = Late()
late.modules = asyncio, asynchooks
late.cycle = late
later = Late()
later.modules = asyncio, asynchooks
loop = asyncio.new_event_loop()
loop.cycle = [loop.call_later(1000, print), loop.create_future(), asynchooks.AsyncResource("x")]
loop.close()
"""


def test_hooks_are_not_called_once_the_interpreter_goes_down(run_script: RunScript) -> None:
    outcome = run_script(HOOKS_AT_EXIT)
    assert (outcome.status, outcome.output, outcome.errors) == (0, "", "")


def test_what_died_is_told_before_the_exit(run_script: RunScript) -> None:
    outcome = run_script(
        """
import atexit
import asynchooks
told = []
atexit.register(lambda: print(told == [died]))
asynchooks.enable()
hook = asynchooks.create_hook(destroy=told.append, kinds=("AsyncResource",)).enable()
def die():
    global died
    resource = asynchooks.AsyncResource("dies at exit")
    died = resource.async_id()
atexit.register(die)
"""
    )
    assert (outcome.status, outcome.output, outcome.errors) == (0, "True\n", "")


@pytest.mark.parametrize("event", ["init", "before", "after", "destroy", "settled"])
def test_os_exit_in_a_hook_exits(run_script: RunScript, event: str) -> None:
    outcome = run_script(
        f"""
import asyncio, asynchooks, os
asynchooks.enable()
asynchooks.create_hook({event}=lambda *args: os._exit(5)).enable()
asyncio.run(asyncio.sleep(0))
print("never")
"""
    )
    assert (outcome.status, outcome.output, outcome.errors) == (5, "", "")


@pytest.mark.parametrize("event", ["init", "before", "after", "destroy", "settled"])
def test_sys_exit_in_a_hook_is_the_hooks_error(run_script: RunScript, event: str) -> None:
    outcome = run_script(
        f"""
import asyncio, asynchooks, sys
asynchooks.enable()
asynchooks.create_hook({event}=lambda *args: sys.exit(5)).enable()
asyncio.run(asyncio.sleep(0))
print("goes on")
"""
    )
    assert (outcome.status, outcome.lines) == (0, ["goes on"])
    assert outcome.errors.count("SystemExit: 5") == 1


SIGNAL_IN_A_HOOK = """
import asyncio, os, signal, sys
import asynchooks
calls = 0
def interrupted(async_id, *rest):
    global calls
    calls += 1
    if calls == 3:
        signal.raise_signal(getattr(signal, sys.argv[2]))
signal.signal(signal.SIGTERM, lambda *args: sys.exit(3))
asynchooks.enable()
# Of a task's death Python tells the weak references to it, where it drops what a signal raises.
kinds = ("Handle",) if sys.argv[1] == "destroy" else ("Task",)
hook = asynchooks.create_hook(**{sys.argv[1]: interrupted}, kinds=kinds).enable()
async def main():
    for _ in range(100):
        asyncio.get_running_loop().call_soon(int)
        await asyncio.create_task(asyncio.sleep(0))
loop = asyncio.new_event_loop()
try:
    loop.run_until_complete(main())
except BaseException as exc:
    print(type(exc).__name__)
print(hook.enabled, flush=True)
os._exit(0)  # past what is left of the loop
"""


@pytest.mark.parametrize("event", ["init", "before", "after", "destroy", "settled"])
@pytest.mark.parametrize(
    ("number", "expected"), [("SIGTERM", "SystemExit"), ("SIGINT", "KeyboardInterrupt")]
)
def test_a_signal_that_comes_inside_a_hook_is_not_lost(
    run_script: RunScript, event: str, number: str, expected: str
) -> None:
    outcome = run_script(SIGNAL_IN_A_HOOK, event, number)
    assert outcome.lines == [expected, "True"]
    assert "ignored" not in outcome.errors

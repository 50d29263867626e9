"""Hooks that raise whatever can be raised, wherever: reported once, and the application goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.life.conftest import PassScript, RunScript

EVENTS = ("init", "before", "after", "destroy", "settled")

WORK = """
import asyncio, sys
import asynchooks
async def leaf():
    await asyncio.sleep(0)
    return 1
async def main():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_soon(future.set_result, 1)
    timer = loop.call_later(1000, print)
    timer.cancel()
    cancelled = asyncio.create_task(leaf())
    cancelled.cancel()
    try:
        await cancelled
    except asyncio.CancelledError:
        pass
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(leaf()) for _ in range(5)]
    resource = asynchooks.AsyncResource("mine")
    total = resource.run_in_async_scope(sum, [task.result() for task in tasks])
    return total + await future + await asyncio.to_thread(int, 1)
asynchooks.enable()
"""


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize(
    "error",
    [
        "ValueError('of the hook')",
        "BaseException('of the hook')",
        "asyncio.CancelledError('of the hook')",
        "SystemExit('of the hook')",
        "GeneratorExit('of the hook')",
        "StopIteration('of the hook')",
        "MemoryError('of the hook')",
        "RecursionError('of the hook')",
        "BaseExceptionGroup('of the hook', [SystemExit()])",
    ],
)
def test_an_error_is_reported_once_and_breaks_nothing(
    run_script: RunScript, event: str, error: str
) -> None:
    outcome = run_script(
        WORK
        + f"""
def fail(*args):
    raise {error}
hooks = [asynchooks.create_hook({event}=fail).enable() for _ in range(2)]
print(asyncio.run(main()), asyncio.run(main()), [hook.enabled for hook in hooks])
"""
    )
    assert (outcome.status, outcome.lines) == (0, ["7 7 [False, False]"])
    assert outcome.errors.count("Exception ignored in") == 2
    assert outcome.errors.count("of the hook") >= 2


@pytest.mark.parametrize("event", EVENTS)
def test_on_error_raise_lets_it_out_of_the_operation(run_script: RunScript, event: str) -> None:
    """Whatever operation that breaks, the interpreter and the engine survive it."""
    outcome = run_script(
        WORK
        + f"""
import itertools
fuse = itertools.count()
def fail(*args):
    if next(fuse) == at:
        raise ValueError("of the hook")
for at in range(60):
    fuse = itertools.count()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: loop.stop())
    # Without its stop() the loop would run on, and start() waits for the thread to begin.
    kinds = ("Task", "Future", "TimerHandle", "AsyncResource", "ExecutorJob")
    hook = asynchooks.create_hook({event}=fail, on_error="raise", kinds=kinds)
    hook.enable()
    for turn in range(20):
        try:
            if turn == 0:
                loop.create_task(main())
            loop.call_soon(loop.stop)
            loop.run_forever()
        except ValueError:
            pass
        assert asynchooks.execution_async_id() == 1
    hook.disable()
os._exit(0)  # past the tasks whose steps were taken from them
"""
    )
    assert outcome.status == 0, outcome
    assert "Fatal" not in outcome.errors
    assert "SystemError" not in outcome.errors


@pytest.mark.parametrize("event", EVENTS)
def test_an_unraisablehook_that_fails_too(run_script: RunScript, event: str) -> None:
    outcome = run_script(
        WORK
        + f"""
def fail(*args):
    raise ValueError("of the hook")
sys.unraisablehook = fail
asynchooks.create_hook({event}=fail).enable()
print(asyncio.run(main()))
"""
    )
    assert (outcome.status, outcome.lines) == (0, ["7"])


MAKERS = {
    "a resource": "asynchooks.AsyncResource('nested')",
    "a future": "loop.create_future()",
    "a callback": "loop.call_soon(int)",
    "a timer": "loop.call_later(1000, int).cancel()",
    "a task": "loop.create_task(leaf())",
    "a scope": "asynchooks.AsyncResource('nested').run_in_async_scope(int)",
    "a hook": "asynchooks.create_hook(init=print).enable().disable()",
}


@pytest.mark.parametrize("made", MAKERS.values(), ids=MAKERS)
def test_making_something_at_init_without_end(run_script: RunScript, made: str) -> None:
    """As in Node that recurses; here it ends in one report, and the hook is off."""
    outcome = run_script(
        WORK
        + f"""
def init(async_id, *rest):
    {made}
loop = asyncio.new_event_loop()
hook = asynchooks.create_hook(init=init).enable()
for _ in range(3):
    loop.create_future()
loop.run_until_complete(leaf())
print(hook.enabled)
os._exit(0)  # the tasks that the hook has made are its own
"""
    )
    assert outcome.status == 0, outcome
    recurses = "create_hook" not in made
    assert outcome.lines == [str(not recurses)]
    reports = outcome.errors.count("Exception ignored in: <function init")
    assert reports == recurses, outcome.errors[-2000:]
    assert ("RecursionError" in outcome.errors) == recurses


@pytest.mark.parametrize("event", ["before", "after", "destroy", "settled"])
@pytest.mark.parametrize("made", MAKERS.values(), ids=MAKERS)
def test_making_something_at_other_events(run_script: RunScript, event: str, made: str) -> None:
    """What a hook makes at each event causes further events; the loop still gets its turn."""
    outcome = run_script(
        WORK
        + f"""
def make(async_id):
    {made}
loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda loop, context: None)
hook = asynchooks.create_hook({event}=make).enable()
print(loop.run_until_complete(leaf()), loop.run_until_complete(leaf()))
os._exit(0)
"""
    )
    assert (outcome.status, outcome.lines) == (0, ["1 1"]), outcome
    assert "Fatal" not in outcome.errors


DOINGS = {
    "collects garbage": "gc.collect()",
    "disables the engine": "asynchooks.disable()",
    "toggles the engine": "asynchooks.disable(); asynchooks.enable()",
    "disables itself": "hook.disable()",
    "looks at what lives": "asynchooks.resources(); asynchooks.tree()",
    "runs a loop in a thread": "in_thread(lambda: asyncio.run(leaf()))",
    "switches another hook": "other.enable() if not other.enabled else other.disable()",
    "lets go of itself": "globals().pop('hook', None)",
    "starts a root": "asynchooks._native.start_root()",
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("doing", DOINGS.values(), ids=DOINGS)
def test_doing_something_at_each_event(pass_script: PassScript, event: str, doing: str) -> None:
    lines = pass_script(
        WORK
        + f"""
import gc, threading
depth = calls = 0
def do(*args):
    global depth, calls
    if depth == 0 and calls < 20:  # not for what it does itself, nor for ever
        calls += 1
        depth += 1
        {doing}
        depth -= 1
def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()
other = asynchooks.create_hook(init=lambda *args: None, destroy=lambda *args: None)
hook = asynchooks.create_hook({event}=do).enable()
print(asyncio.run(main()), asyncio.run(main()))
"""
    )
    assert lines == ["7 7"]


@pytest.mark.parametrize("event", EVENTS)
def test_inside_finalizers(pass_script: PassScript, event: str) -> None:
    """Tasks, futures, handles and resources that are made, run and dropped in `__del__`."""
    lines = pass_script(
        WORK
        + f"""
import gc
class Finalized:
    def __del__(self):
        asynchooks.AsyncResource("finalizer").run_in_async_scope(int)
        loop.create_future().cancel()
        loop.call_later(1000, int).cancel()
        hook.enable()
        asynchooks.resources()
def hear(*args):
    heard.append(Finalized() if len(heard) < 20 else None)
    if len(heard) % 5 == 0:
        heard[:] = [None] * len(heard)
heard = []
loop = asyncio.new_event_loop()
hook = asynchooks.create_hook({event}=hear).enable()
for _ in range(20):
    cycle = Finalized()
    cycle.cycle = cycle
    future = loop.create_future()
    future.held = cycle
    future.set_result(Finalized())
    del cycle, future
    gc.collect()
loop.run_until_complete(leaf())
hook.disable()
heard.clear()
loop.close()
print(len(asynchooks.resources(kind="Task")))
"""
    )
    assert lines == ["0"]

"""fork(): the child starts with an empty table, and works like any other process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.life.conftest import PassScript

# `in_child(function)` is what the function prints in a child, and that the child ended well.
FORKING = """
import asyncio, os, sys, threading, traceback, warnings
import asynchooks
from asynchooks import _native
warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, from 3.12 on
def in_child(function):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            sys.stdout.flush()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
def lives():
    return {kind: count for kind, count in _native.live_counts().items() if count}
async def leaf():
    await asyncio.sleep(0)
    return asynchooks.execution_async_id()
asynchooks.enable()
"""

IN_A_RUNNING_LOOP = """
async def main():
    loop = asyncio.get_running_loop()
    keep = [loop.create_task(leaf()), loop.create_future(), loop.call_later(1000, print)]
    resource = asynchooks.AsyncResource("keep")
    await asyncio.sleep(0)
    me = asynchooks.execution_async_id()
    known = {info.async_id for info in asynchooks.resources()}
    def child():
        assert asynchooks.is_enabled()
        assert lives() == {}, lives()
        assert asynchooks.resources() == [] and asynchooks.tree() == []
        assert asynchooks.execution_async_id() == me  # the step that forked goes on
        new = asynchooks.AsyncResource("new")
        assert new.async_id() > max(known)
        assert new.trigger_async_id() == me
        assert lives() == {"AsyncResource": 1}
        del new
        asyncio._set_running_loop(None)  # 3.12 does so itself
        assert asyncio.run(leaf()) > max(known)
        keep.clear()
        assert lives() == {}, lives()
        assert resource.run_in_async_scope(asynchooks.execution_async_id) == resource.async_id()
    in_child(child)
    assert {info.async_id for info in asynchooks.resources()} == known
    keep[1].cancel()
    keep[2].cancel()
    await keep[0]
asyncio.run(main())
"""

THE_LOOP_GOES_ON_IN_THE_CHILD = """
async def wait():
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    (mine,) = [i for i in asynchooks.resources() if i.resource is asyncio.current_task()]
    return mine.is_adopted, asynchooks.trigger_async_id()
loop = asyncio.new_event_loop()
old = loop.create_task(wait())
loop.call_soon(loop.stop)
loop.run_forever()
def child():
    assert loop.run_until_complete(old) == (True, 0)
in_child(child)
adopted, trigger = loop.run_until_complete(old)
assert not adopted and trigger == 1
loop.close()
"""

FROM_ANOTHER_THREAD = """
def in_thread():
    def child():
        assert asynchooks.execution_async_id() != 1  # still inside the thread's resource
        _native.call_detached(at_the_top)
    def at_the_top():
        seen.append(asynchooks.execution_async_id())
    in_child(child)
seen = []
thread = threading.Thread(target=in_thread)
thread.start()
thread.join()
"""

THE_FORKING_THREAD_IS_THE_MAIN_ONE = """
import _thread
def in_thread():
    in_child(lambda: print(asynchooks.execution_async_id()))
    print(asynchooks.execution_async_id())
    done.release()
done = _thread.allocate_lock()
done.acquire()
_thread.start_new_thread(in_thread, ())  # no resource of ours: the top level of a thread
done.acquire()
"""

WHILE_ANOTHER_THREAD_TOGGLES = """
from asynchooks import engine
holds, may_leave = threading.Event(), threading.Event()
def hold():
    with engine._lock:
        holds.set()
        may_leave.wait()
thread = threading.Thread(target=hold)
thread.start()
holds.wait()
def child():
    asynchooks.disable()
    asynchooks.enable()
    asyncio.run(leaf())
    assert lives() == {}, lives()
in_child(child)
may_leave.set()
thread.join()
"""

WHILE_ANOTHER_THREAD_IS_INSIDE_A_HOOK = """
is_inside, may_leave = threading.Event(), threading.Event()
def block(async_id):
    if threading.current_thread() is thread:
        is_inside.set()
        may_leave.wait()
hook = asynchooks.create_hook(before=block, destroy=block).enable()
thread = threading.Thread(target=asynchooks.AsyncResource("x").run_in_async_scope, args=(int,))
thread.start()
is_inside.wait()
told = []
def child():
    hook.disable()
    asynchooks.create_hook(init=lambda *args: told.append("init"),
                           destroy=lambda *args: told.append("destroy")).enable()
    asyncio.run(leaf())
    assert told.count("init") > 3 and told.count("destroy") > 3, told
in_child(child)
may_leave.set()
thread.join()
"""

WITH_DEATHS_THAT_WAIT = """
told = []
asynchooks.create_hook(destroy=lambda async_id: told.append(os.getpid())).enable()
def fork_inside():
    for _ in range(100):
        asynchooks.AsyncResource("dies")
    def child():
        # Deaths are told when the outermost step of a loop is over: here, one in a thread.
        thread = threading.Thread(target=lambda: asyncio.run(leaf()))
        thread.start()
        thread.join()
        assert 1 <= len(told) <= 50, told
    in_child(child)
asynchooks.AsyncResource("runs").run_in_async_scope(fork_inside)
assert len(told) >= 100, told
"""

INSIDE_EVERY_HOOK = """
def child(event):
    asyncio._set_running_loop(None)
    asyncio.run(leaf())
    print(event)
for event in ("init", "before", "after", "destroy", "settled"):
    forked = []
    def fork(*args):
        if not forked:  # what a hook itself does is told it too
            forked.append(True)
            in_child(lambda: child(event))
    hook = asynchooks.create_hook(**{event: fork}).enable()
    asyncio.run(leaf())
    hook.disable()
"""

AGAIN_AND_AGAIN = """
def child(generation):
    asyncio.run(leaf())
    assert lives() == {}, lives()
    if generation < 5:
        in_child(lambda: child(generation + 1))
    else:
        print("the last")
in_child(lambda: child(1))
"""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(IN_A_RUNNING_LOOP, [], id="in a running loop"),
        pytest.param(THE_LOOP_GOES_ON_IN_THE_CHILD, [], id="the loop goes on in the child"),
        pytest.param(FROM_ANOTHER_THREAD, [], id="from another thread"),
        pytest.param(THE_FORKING_THREAD_IS_THE_MAIN_ONE, ["1", "0"], id="the main thread changes"),
        pytest.param(WHILE_ANOTHER_THREAD_TOGGLES, [], id="another thread toggles"),
        pytest.param(WHILE_ANOTHER_THREAD_IS_INSIDE_A_HOOK, [], id="another thread in a hook"),
        pytest.param(WITH_DEATHS_THAT_WAIT, [], id="deaths that wait"),
        pytest.param(
            INSIDE_EVERY_HOOK,
            ["init", "before", "after", "destroy", "settled"],
            id="inside hooks",
        ),
        pytest.param(AGAIN_AND_AGAIN, ["the last"], id="again and again"),
    ],
)
def test_after_a_fork(pass_script: PassScript, script: str, expected: list[str]) -> None:
    assert pass_script(FORKING + script) == expected


@pytest.mark.skipif(
    sys.version_info >= (3, 14),
    reason="hangs without us too: a child has no running loop, so SystemExit gets lost in the step",
)
def test_children_that_exit_as_processes_do(pass_script: PassScript) -> None:
    """With exit functions, in the middle of a loop, and with threads of the parent's gone."""
    lines = pass_script(
        """
import asyncio, os, sys, threading, warnings
import asynchooks
warnings.simplefilter("ignore", DeprecationWarning)
asynchooks.enable()
asynchooks.create_hook(init=lambda *args: None, destroy=lambda *args: None).enable()
is_over = threading.Event()
async def wait():
    while not is_over.is_set():
        await asyncio.sleep(0)
thread = threading.Thread(target=lambda: asyncio.run(wait()))
thread.start()
async def main():
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    is_over.set()
asyncio.run(main())
"""
    )
    assert lines == ["7"] * 5

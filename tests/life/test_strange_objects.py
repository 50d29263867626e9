"""What nobody writes and somebody does: objects half made, made twice, brought back, altered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.life.conftest import PassScript, SameOutcome

SAME = {
    "Task.__init__ called twice": """
async def main():
    loop = asyncio.get_running_loop()
    task = asyncio.Task(leaf(), loop=loop)
    begin_again(task, leaf(), loop=loop)
    print(await task)
asyncio.run(main())
""",
    "Task.__init__ called again after the end": """
async def main():
    task = asyncio.create_task(leaf())
    await task
    begin_again(task, leaf(), loop=asyncio.get_running_loop())
    print(await task)
asyncio.run(main())
""",
    "Future.__init__ called again, and wrongly": """
loop = asyncio.new_event_loop()
future = asyncio.Future(loop=loop)
begin_again(future, loop=loop)
for wrong in ((1,), (1, 2, 3)):
    begin_again(future, *wrong)
future.set_result(1)
print(loop.run_until_complete(future))
""",
    "a task without __init__": """
for kind in (asyncio.Task, asyncio.Future):
    bare = kind.__new__(kind)
    print(type(bare).__name__)
    for use in (repr, lambda o: o.done(), lambda o: o.cancel(), lambda o: o.result()):
        try:
            use(bare)
        except Exception as exc:
            print(type(exc).__name__)
    del bare
""",
    "subclasses with a broken __init__": """
class Forgetful(asyncio.Task):
    def __init__(self, coroutine, **kwargs):
        coroutine.close()
class Late(asyncio.Task):
    def __init__(self, coroutine, **kwargs):
        super().__init__(coroutine, **kwargs)
        self.cancel()
        raise ValueError("on purpose")
class Wrong(asyncio.Task):
    def __init__(self, coroutine, **kwargs):
        coroutine.close()
        super().__init__(1, **kwargs)
loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda loop, context: print(context["message"]))
for broken in (Forgetful, Late, Wrong):
    try:
        broken(leaf(), loop=loop)
    except Exception as exc:
        print(type(exc).__name__)
loop.call_soon(loop.stop)
loop.run_forever()
loop.close()
""",
    "subclasses with slots, attributes and finalizers": """
class Slotted(asyncio.Future):
    __slots__ = ("held",)
class Finalized(asyncio.Task):
    def __del__(self):
        print("finalized", self.done())
        super().__del__()
loop = asyncio.new_event_loop()
for _ in range(3):
    slotted = Slotted(loop=loop)
    slotted.held = slotted
    del slotted
    gc.collect()
async def main():
    await Finalized(leaf(), loop=loop)
loop.run_until_complete(main())
loop.close()
""",
    "resurrected in __del__ and in the exception handler": """
kept = []
class Phoenix(asyncio.Task):
    def __del__(self):
        kept.append(self)
class Flying(asyncio.Future):
    def __del__(self):
        kept.append(self)
async def main():
    loop = asyncio.get_running_loop()
    for _ in range(20):
        await Phoenix(leaf(), loop=loop)
        Flying(loop=loop)
    gc.collect()
    print(len(kept), sum(future.done() for future in kept))
    future = next(future for future in kept if not future.done())
    future.set_result(1)
    print(await future)
    del future
    kept.clear()
    loop.set_exception_handler(lambda loop, context: kept.append(context.get("future")))
    future = loop.create_future()
    future.set_exception(ValueError())
    del future
    print(type(kept[0]).__name__)
    kept.clear()
asyncio.run(main())
""",
    "__class__ assigned": """
class A(asyncio.Task):
    pass
class B(asyncio.Task):
    def __del__(self):
        print("as B")
class C(asyncio.Future):
    pass
async def main():
    loop = asyncio.get_running_loop()
    task = A(leaf(), loop=loop)
    task.__class__ = B
    print(await task)
    for wrong in (asyncio.Task, C, int):
        try:
            task.__class__ = wrong
        except TypeError:
            print("refused")
asyncio.run(main())
""",
    "copied and pickled": """
import copy, pickle
loop = asyncio.new_event_loop()
task = loop.create_task(leaf())
for made in (loop.create_future(), task):
    for use in (copy.copy, copy.deepcopy, pickle.dumps):
        try:
            print(type(use(made)).__name__)
        except Exception as exc:
            print(type(exc).__name__)
loop.run_until_complete(task)
""",
    "coroutines of generators": """
import types
@types.coroutine
def bare(times):
    for _ in range(times):
        yield
    return times
async def main():
    print(await asyncio.gather(*[asyncio.create_task(awaits(n)) for n in range(5)]))
async def awaits(times):
    return await bare(times)
class Custom:
    def __await__(self):
        yield
        return 1
async def custom():
    return await Custom()
async def wrong():
    class Yields:
        def __await__(self):
            yield "what is this"
    await Yields()
asyncio.run(main())
print(asyncio.run(custom()))
try:
    asyncio.run(wrong())
except RuntimeError as exc:
    print(str(exc)[:20])
""",
    "handles cancelled inside their own callback": """
loop = asyncio.new_event_loop()
def cancel(which):
    handles[which].cancel()
    gc.collect()
    print(which, handles[which].cancelled(), handles[which]._callback)
handles = [loop.call_soon(cancel, 0), loop.call_later(0, cancel, 1)]
loop.call_later(0, loop.stop)
loop.run_forever()
loop.run_until_complete(leaf())
loop.close()
""",
    "handles dropped inside their own callback": """
loop = asyncio.new_event_loop()
def drop():
    handles.clear()
    loop._ready.clear()
    loop._scheduled.clear()
    gc.collect()
    print("dropped")
    loop.stop()
handles = [loop.call_soon(drop)]
loop.run_forever()
loop.close()
""",
    "handles taken apart": """
loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda loop, context: print(context["message"][:21]))
def broken(slot, value):
    handle = loop.call_soon(print, "called")
    setattr(handle, slot, value)
    try:
        handle._run()
    except BaseException as exc:
        print(type(exc).__name__)
    loop._ready.clear()
for slot in ("_callback", "_args", "_context", "_loop"):
    broken(slot, None)
    broken(slot, 1)
for slot in ("_callback", "_args", "_loop"):
    handle = loop.call_soon(print, "called")
    delattr(handle, slot)
    try:
        handle._run()
    except BaseException as exc:
        print(type(exc).__name__)
    loop._ready.clear()
""",
    "the loop closed inside a callback": """
loop = asyncio.new_event_loop()
def close():
    try:
        loop.close()
    except RuntimeError as exc:
        print(exc)
    loop._closed = True
    loop.stop()
loop.call_soon(close)
loop.call_soon(print, "still called")
loop.run_forever()
try:
    loop.call_soon(print)
except RuntimeError as exc:
    print(exc)
loop._closed = False
loop.close()
""",
    "a timer's comparison that cancels": """
class Cancelling:
    def __call__(self):
        pass
    def __eq__(self, other):
        for timer in timers:
            timer.cancel()
        return True
loop = asyncio.new_event_loop()
for _ in range(100):
    timers = [
        asyncio.TimerHandle(1.0, Cancelling(), tuple(object() for _ in range(50)), loop)
        for _ in range(2)
    ]
    print(timers[0] == timers[1])
""",
    "tasks that await themselves and each other": """
async def itself():
    await asyncio.current_task()
async def main():
    task = asyncio.create_task(itself())
    try:
        await task
    except RuntimeError as exc:
        print(type(exc).__name__)
    first = asyncio.create_task(asyncio.sleep(0))
    second = asyncio.create_task(asyncio.wait([first]))
    done, _ = await second
    print(len(done))
asyncio.run(main())
""",
    "steps at the limit of recursion": """
def deep(function):
    try:
        return deep(function)
    except RecursionError:
        try:
            return function()
        except RecursionError:
            return None
async def main():
    loop = asyncio.get_running_loop()
    for function in (loop.create_future, lambda: loop.call_soon(int),
                     lambda: loop.call_later(0, int), lambda: asyncio.Future(loop=loop)):
        deep(function)
    await asyncio.sleep(0)
    print("alive")
asyncio.run(main())
""",
}
FIRST = """
import asyncio, gc
async def leaf():
    await asyncio.sleep(0)
    return 1
def begin_again(future, *args, **kwargs):
    try:
        future.__init__(*args, **kwargs)
    except (TypeError, RuntimeError) as exc:  # from 3.15 on no second time is allowed
        print(exc)
"""


@pytest.mark.parametrize("script", SAME.values(), ids=SAME)
def test_it_goes_as_without_us(same_outcome: SameOutcome, script: str) -> None:
    same_outcome(FIRST + script)


TRACKED = {
    "a long chain of futures in futures": """
def chain(loop, length, wrap):
    future = None
    for _ in range(length):
        outer = loop.create_future()
        outer.set_result(wrap(future))
        future = outer
    return future
class Sub(asyncio.Future):
    pass
loop = asyncio.new_event_loop()
for wrap in (lambda inner: [inner], lambda inner: (inner,), lambda inner: {"inner": inner}):
    held = chain(loop, 200_000, wrap)
    assert _native.live_counts()["Future"] == 200_000
    del held
""",
    "attributes that look at what lives while their owner dies": """
class Looks:
    def __del__(self):
        asynchooks.resources()
        asynchooks.tree()
class Sub(asyncio.Future):
    pass
class Mine(asynchooks.AsyncResource):
    pass
loop = asyncio.new_event_loop()
for _ in range(50):
    for made in (Sub(loop=loop), Mine("mine")):
        made.looks = Looks()
    made = None
""",
    "weak references that look at what lives": """
import weakref
loop = asyncio.new_event_loop()
for _ in range(50):
    for made in (loop.create_future(), loop.call_later(1000, int), asynchooks.AsyncResource("x")):
        reference = weakref.ref(made, lambda _: asynchooks.resources()) \\
            if not isinstance(made, asynchooks.AsyncResource) else None
        if isinstance(made, asyncio.TimerHandle):
            made.cancel()
            loop._scheduled.clear()
    made = None
""",
    "everything in cycles": """
loop = asyncio.new_event_loop()
def cycles():
    future = loop.create_future()
    timer = loop.call_later(1000, print, future)
    resource = asynchooks.AsyncResource("x")
    future.set_result([future, timer, resource, loop])
    timer._args = (future, timer, resource)
    loop._scheduled.clear()
for _ in range(200):
    cycles()
gc.collect()
""",
}


@pytest.mark.parametrize("engine", ["engine", "hooks"])
@pytest.mark.parametrize("script", TRACKED.values(), ids=TRACKED)
def test_nothing_is_left_of_it(pass_script: PassScript, script: str, engine: str) -> None:
    last = """
loop.close()
gc.collect()
print({kind: count for kind, count in _native.live_counts().items() if count})
"""
    first = FIRST + "import asynchooks\nfrom asynchooks import _native\n"
    assert pass_script(first + script + last, engine=engine) == ["{}"]

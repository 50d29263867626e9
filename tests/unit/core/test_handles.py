"""Handles: ours are asyncio's own to whoever looks at them."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
import operator
import sys
import threading
import traceback
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks

if TYPE_CHECKING:
    from tests.conftest import Activity


def nothing(*args: object) -> None:
    pass


@pytest.fixture
def loop() -> Any:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def describe(handle: asyncio.Handle) -> dict[str, object]:
    return {
        "type name": type(handle).__name__,
        "module": type(handle).__module__,
        "is handle": isinstance(handle, asyncio.Handle),
        "is timer": isinstance(handle, asyncio.TimerHandle),
        "repr": repr(handle),
        "cancelled": handle.cancelled(),
        "dict": hasattr(handle, "__dict__"),
        "attributes": sorted(name for name in dir(handle)),
        "slots": {
            name: repr(getattr(handle, name))
            for name in ("_callback", "_args", "_cancelled", "_repr", "_source_traceback")
        },
    }


def describe_all(loop: asyncio.AbstractEventLoop) -> list[dict[str, object]]:
    described = []
    for handle in (
        loop.call_soon(nothing, 1, "two"),
        loop.call_at(12345.5, nothing, 1),
        loop.call_at(12345, nothing, 1),
        loop.call_soon_threadsafe(nothing, 1),
    ):
        described.append(describe(handle))
        handle.cancel()
        described.append(describe(handle))
    return described


@pytest.mark.parametrize("debug", [False, True])
def test_a_handle_looks_the_same_with_and_without_us(
    loop: asyncio.AbstractEventLoop, debug: bool
) -> None:
    loop.set_debug(debug)
    seen = []
    for enabled in (False, True):
        if enabled:
            asynchooks.enable()
        seen.append(describe_all(loop))
    asynchooks.disable()
    assert seen[0] == seen[1]


def test_our_handles_are_made_only_while_enabled(loop: asyncio.AbstractEventLoop) -> None:
    plain = type(loop.call_soon(nothing))
    asynchooks.enable()
    assert type(loop.call_soon(nothing)) is not plain
    asynchooks.disable()
    assert type(loop.call_soon(nothing)) is plain
    assert plain is asyncio.Handle


def test_a_handle_outlives_disable(engine: None, loop: asyncio.AbstractEventLoop) -> None:
    ran: list[int] = []
    loop.call_soon(ran.append, 1)
    loop.call_later(0, ran.append, 2)
    asynchooks.disable()
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    assert ran == [1, 2]


def test_a_handle_made_before_enable_runs(loop: asyncio.AbstractEventLoop) -> None:
    ran: list[int] = []
    loop.call_soon(ran.append, 1)
    asynchooks.enable()
    loop.call_soon(loop.stop)
    loop.run_forever()
    asynchooks.disable()
    assert ran == [1]


def test_wrong_arguments_raise_what_asyncio_raises(loop: asyncio.AbstractEventLoop) -> None:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {}),
        ((nothing,), {}),
        ((nothing, (), loop, None, 1), {}),
        ((nothing, (), loop), {"wrong": 1}),
        ((nothing, (), None), {}),
    ]
    for args, kwargs in calls:
        messages = []
        for enabled in (False, True):
            if enabled:
                asynchooks.enable()
            with pytest.raises((TypeError, AttributeError)) as caught:
                asyncio.Handle(*args, **kwargs)
            messages.append((type(caught.value), str(caught.value)))
        asynchooks.disable()
        assert messages[0] == messages[1]


def test_subclasses_are_left_alone(engine: None, loop: asyncio.AbstractEventLoop) -> None:
    class Mine(asyncio.Handle):
        pass

    handle = Mine(nothing, (), loop)
    assert type(handle) is Mine
    handle._run()


def test_weak_references(engine: None, loop: asyncio.AbstractEventLoop) -> None:
    gone: list[str] = []
    handle, timer = loop.call_soon(nothing), loop.call_later(1000, nothing)
    references = (
        weakref.ref(handle, lambda _: gone.append("handle")),
        weakref.ref(timer, lambda _: gone.append("timer")),
    )
    assert [reference() for reference in references] == [handle, timer]
    del handle, timer
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert gone == ["handle"]  # the timer waits in the loop
    loop._scheduled.clear()  # type: ignore[attr-defined] # its own list of timers
    assert gone == ["handle", "timer"]


def test_cycles_through_handles_are_collected(engine: None) -> None:
    class Anchor:
        pass

    loop = asyncio.new_event_loop()
    anchor = Anchor()
    reference = weakref.ref(anchor)
    anchor.handle = loop.call_later(1000, nothing, anchor)  # type: ignore[attr-defined]
    loop.close()
    del anchor, loop
    gc.collect()
    assert reference() is None


def test_timers_order_like_asyncios(loop: asyncio.AbstractEventLoop) -> None:
    def compare() -> list[object]:
        timers = [
            asyncio.TimerHandle(when, callback, args, loop)
            for when, callback, args in (
                (1.0, nothing, ()),
                (1.0, nothing, ()),
                (1.0, nothing, (1,)),
                (1.0, print, ()),
                (2.0, nothing, ()),
            )
        ]
        timers[1].cancel()
        results: list[object] = [hash(timer) for timer in timers]
        for a, b in itertools.product(timers, repeat=2):
            results += [a < b, a <= b, a > b, a >= b, a == b, a != b]
        results.append(timers[0] == 1)
        with pytest.raises(TypeError):
            operator.lt(timers[0], 1)
        return results

    plain = compare()
    asynchooks.enable()
    tracked = compare()
    asynchooks.disable()
    assert plain == tracked


def test_context_is_copied_or_taken(engine: None, loop: asyncio.AbstractEventLoop) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[str] = []

    def look() -> None:
        seen.append(variable.get())
        variable.set("inside")

    given = contextvars.copy_context()
    given.run(variable.set, "given")
    variable.set("outside")
    loop.call_soon(look)
    loop.call_soon(look, context=given)
    loop.call_soon(look, context=given)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == ["outside", "given", "inside"]
    assert variable.get() == "outside"


def failing() -> None:
    raise ValueError("on purpose")


def report_of(loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
    """What the loop's exception handler is told of a callback that fails."""
    reports: list[dict[str, Any]] = []

    def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        reports.append(context)

    loop.set_exception_handler(handler)
    loop.call_soon(failing)
    loop.call_soon(loop.stop)
    loop.run_forever()
    (report,) = reports
    exception = report["exception"]
    return {
        "keys": sorted(report),
        "message": report["message"],
        "handle": repr(report["handle"]),
        "traceback": "".join(traceback.format_exception(exception)),
        "source": "".join(traceback.format_list(report.get("source_traceback", []))),
    }


@pytest.mark.parametrize("debug", [False, True])
def test_a_failing_callback_reads_the_same(loop: asyncio.AbstractEventLoop, debug: bool) -> None:
    loop.set_debug(debug)
    reports = []
    for enabled in (False, True):
        if enabled:
            asynchooks.enable()
        reports.append(report_of(loop))
    asynchooks.disable()
    assert reports[0] == reports[1]


def test_a_callback_that_cancels_itself_and_fails(
    engine: None, loop: asyncio.AbstractEventLoop
) -> None:
    reports: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda loop, context: reports.append(context))

    def cancel_and_fail() -> None:
        handle.cancel()
        raise ValueError("on purpose")

    handle = loop.call_soon(cancel_and_fail)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert isinstance(reports[0]["exception"], ValueError)
    assert handle.cancelled()
    assert handle._callback is None  # type: ignore[attr-defined] # as asyncio leaves it


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit])
def test_exits_leave_the_loop(
    engine: None, loop: asyncio.AbstractEventLoop, exception: type[BaseException]
) -> None:
    def leave() -> None:
        raise exception

    loop.call_soon(leave)
    with pytest.raises(exception):
        loop.run_forever()
    assert asynchooks.execution_async_id() == 1


def test_the_context_of_another_thread_is_refused_as_asyncio_does(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """A context that is entered already: RuntimeError goes to the exception handler."""

    def run() -> str:
        reports: list[dict[str, Any]] = []
        # Not set_exception_handler: from 3.12 on that runs in the handle's context, too.
        loop.call_exception_handler = reports.append  # type: ignore[method-assign, assignment]
        context = contextvars.copy_context()

        def inside() -> None:
            loop.call_soon(nothing, context=context)
            loop.call_soon(loop.stop)
            loop.run_forever()

        context.run(inside)
        return str(type(reports[0]["exception"]))

    plain = run()
    asynchooks.enable()
    tracked = run()
    asynchooks.disable()
    assert plain == tracked == str(RuntimeError)


def test_handles_do_not_leak(engine: None, loop: asyncio.AbstractEventLoop) -> None:
    def rounds(count: int) -> None:
        for _ in range(count):
            for _ in range(100):
                loop.call_soon(nothing, 1)
                loop.call_later(0, nothing).cancel()
            loop.call_soon(loop.stop)
            loop.run_forever()

    rounds(20)
    gc.collect()
    before = sys.getallocatedblocks()
    rounds(200)
    gc.collect()
    assert sys.getallocatedblocks() - before < 200


def test_in_hot_code_too(engine: None, loop: asyncio.AbstractEventLoop) -> None:
    """Where the interpreter specializes what is called often, it calls us all the same."""

    def schedule() -> asyncio.Handle:
        return loop.call_soon(nothing)

    handles = [schedule() for _ in range(5000)]
    known = {id(info.resource) for info in asynchooks.resources(kind="Handle")}
    assert {id(handle) for handle in handles} <= known


def test_a_handle_made_without_init_is_possible_as_ever(engine: None) -> None:
    """`object.__new__` refuses a class whose own `__new__` it is not."""
    for make in (asyncio.Handle, asyncio.TimerHandle):
        assert type(make.__new__(make)) is make
        assert type(object.__new__(make)) is make


def test_a_thread_safe_handle_does_not_run_when_it_was_cancelled_just_before(
    engine: None, loop: asyncio.AbstractEventLoop
) -> None:
    ran: list[int] = []
    handle = loop.call_soon_threadsafe(ran.append, 1)
    handle.cancel()
    loop.call_soon_threadsafe(loop.stop)
    loop.run_forever()
    if sys.version_info >= (3, 14):
        handle._run()
    assert ran == []


@pytest.mark.parametrize("debug", [False, True])
def test_a_thread_safe_handle_keeps_others_waiting_while_it_runs(
    engine: None, loop: asyncio.AbstractEventLoop, debug: bool
) -> None:
    """From 3.14 on, where it has a lock."""
    loop.set_debug(debug)
    cancelled = threading.Event()

    def cancel() -> None:
        handle.cancel()
        cancelled.set()

    def run() -> None:
        thread = threading.Thread(target=cancel)
        thread.start()
        was_cancelled.append(cancelled.wait(0.1))
        threads.append(thread)
        raise ValueError("seen by the loop's handler")

    was_cancelled: list[bool] = []
    threads: list[threading.Thread] = []
    seen: list[Any] = []
    loop.set_exception_handler(lambda loop, context: seen.append(context["exception"]))
    handle = loop.call_soon_threadsafe(run)
    loop.call_soon_threadsafe(loop.stop)
    loop.run_forever()
    threads[0].join(60)
    assert was_cancelled == [sys.version_info < (3, 14)]
    assert cancelled.is_set()
    assert [type(exception) for exception in seen] == [ValueError]


def test_a_timer_without_its_time_is_an_error_as_ever(
    engine: None, loop: asyncio.AbstractEventLoop
) -> None:
    timer = loop.call_later(1000, nothing)
    del timer._when  # type: ignore[attr-defined] # a slot
    for use in (hash, repr, lambda timer: timer < timer, lambda timer: timer == timer):
        with pytest.raises(AttributeError):
            use(timer)


def test_a_timer_for_a_whole_second_is_one_of_ours(
    activity: Activity, loop: asyncio.AbstractEventLoop
) -> None:
    """aiohttp's are: it rounds up what takes long."""
    timer = loop.call_at(12345, nothing, 1)
    later = loop.call_at(12345.5, nothing, 1)
    assert len(activity.of_type("TimerHandle")) == 2
    assert timer.when() == 12345
    assert timer < later
    assert hash(timer) == hash(12345)
    timer.cancel()
    later.cancel()

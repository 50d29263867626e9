"""C1, C24 to C36 and C39 to C42: hooks, ids and resources, item by item of Node's tests. C1, the
state machine of each life, is what the fixture `activity` checks at the end of every test."""

from __future__ import annotations

import asyncio
import itertools
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks
from asynchooks import AsyncResource

if TYPE_CHECKING:
    from tests.conformance.conftest import Run
    from tests.conftest import Activity

EVENTS = ("init", "before", "after", "settled", "destroy")


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was reported through `sys.unraisablehook`."""
    reports: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reports.append(report.exc_value))
    return reports


def live_through() -> None:
    """A resource's whole life, and a task's."""

    async def main() -> None:
        await asyncio.create_task(asyncio.sleep(0))

    resource = AsyncResource("Mine")
    resource.run_in_async_scope(lambda: None)
    resource.emit_destroy()
    asyncio.run(main())


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("error", [LookupError, asyncio.CancelledError, SystemExit])
def test_c24_c25_an_error_in_a_callback_is_reported_once_and_breaks_nothing(
    engine: None, unraisable: list[Any], event: str, error: type[BaseException]
) -> None:
    """callback-error, test-async-hooks-fatal-error. Node ends the process; ours never does."""
    calls: list[int] = []

    def fail(async_id: int, *rest: object) -> None:
        calls.append(async_id)
        raise error("of the hook")

    callbacks: dict[str, Any] = {event: fail}
    hook = asynchooks.create_hook(**callbacks)
    hook.enable()
    live_through()
    assert len(calls) == 1
    assert [type(report) for report in unraisable] == [error]
    assert not hook.enabled


@pytest.mark.parametrize("event", ["init", "before", "after"])
def test_c24_an_error_may_leave_the_operation_instead(engine: None, event: str) -> None:
    """callback-error, with `on_error="raise"`."""

    def fail(async_id: int, *rest: object) -> None:
        raise LookupError("of the hook")

    callbacks: dict[str, Any] = {event: fail}
    hook = asynchooks.create_hook(**callbacks, kinds=("AsyncResource",), on_error="raise").enable()
    outer = asynchooks.execution_async_id()
    with pytest.raises(LookupError, match="of the hook"):
        AsyncResource("Mine").run_in_async_scope(lambda: None)
    assert asynchooks.execution_async_id() == outer
    assert hook.enabled
    hook.disable()


def test_c26_a_hook_enabled_in_init_misses_what_goes_on(engine: None) -> None:
    """enable-in-init"""
    inner_calls: list[int] = []
    inner = asynchooks.create_hook(
        init=lambda async_id, *_: inner_calls.append(async_id), kinds=("AsyncResource",)
    )
    nested: list[AsyncResource] = []
    outer_calls: list[int] = []

    def init(async_id: int, *rest: object) -> None:
        inner.enable()
        outer_calls.append(async_id)
        if len(outer_calls) == 1:  # not for the nested one itself
            nested.append(AsyncResource("Nested"))

    outer = asynchooks.create_hook(init=init, kinds=("AsyncResource",)).enable()
    first = AsyncResource("First")
    assert inner_calls == []
    second = AsyncResource("Second")
    assert inner_calls == [second.async_id()]
    outer.disable()
    inner.disable()
    del first


def test_c27_a_hook_disabled_in_init_still_hears_what_goes_on(engine: None) -> None:
    """disable-in-init"""
    calls: list[int] = []
    nested: list[AsyncResource] = []

    def init(async_id: int, *rest: object) -> None:
        calls.append(async_id)
        hook.disable()
        if len(calls) == 1:
            nested.append(AsyncResource("Nested"))

    hook = asynchooks.create_hook(init=init, kinds=("AsyncResource",)).enable()
    first = AsyncResource("First")
    AsyncResource("Second")
    assert calls == [first.async_id(), nested[0].async_id()]


def test_c28_hooks_that_switch_each_other(engine: None, run: Run) -> None:
    """enable-disable: exact lists of events over two callbacks."""
    order: list[str] = []

    def note(name: str, event: str) -> Any:
        return lambda async_id: order.append(f"{name} {event}")

    kinds = ("Handle",)
    third = asynchooks.create_hook(before=note("3", "b"), after=note("3", "a"), kinds=kinds)

    def second_before(async_id: int) -> None:
        order.append("2 b")
        third.enable()

    second = asynchooks.create_hook(before=second_before, after=note("2", "a"), kinds=kinds)

    def first_after(async_id: int) -> None:
        order.append("1 a")
        second.disable()

    first = asynchooks.create_hook(before=note("1", "b"), after=first_after, kinds=kinds)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def callback_2() -> None:
            order.append("callback 2")
            done.set_result(None)

        loop.call_soon(order.append, "callback 1")
        loop.call_soon(callback_2)
        first.enable()
        second.enable()
        await done
        for hook in (first, second, third):
            hook.disable()

    run(main())
    assert order == [
        *("1 b", "2 b", "callback 1", "1 a", "2 a", "3 a"),
        *("1 b", "3 b", "callback 2", "1 a", "3 a"),
    ]


def test_c29_c30_enabled_inside_a_step_hears_its_after_and_not_its_before(
    engine: None, run: Run
) -> None:
    """late-hook-enable, test-async-hooks-enable-during-promise"""
    order: list[tuple[str, int]] = []
    hook = asynchooks.create_hook(
        before=lambda i: order.append(("before", i)),
        after=lambda i: order.append(("after", i)),
        destroy=lambda i: order.append(("destroy", i)),
    )
    ids: list[int] = []

    def late() -> None:
        ids.append(asynchooks.execution_async_id())
        hook.enable()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(late)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        hook.disable()
        order.append(("mark", 0))

        async def step() -> None:
            ids.append(asynchooks.execution_async_id())
            hook.enable()

        await asyncio.create_task(step())
        hook.disable()

    run(main())
    mark = order.index(("mark", 0))
    of_handle = [event for event, async_id in order[:mark] if async_id == ids[0]]
    assert of_handle == ["after", "destroy"]
    of_task = [event for event, async_id in order[mark:] if async_id == ids[1]]
    assert of_task[0] == "after"
    assert "before" not in of_task


def test_c29_enabled_inside_a_timer_s_callback(engine: None, run: Run) -> None:
    """late-hook-enable, in a timer; and its death is heard, too."""
    order: list[tuple[str, int]] = []
    hook = asynchooks.create_hook(
        before=lambda i: order.append(("before", i)),
        after=lambda i: order.append(("after", i)),
        destroy=lambda i: order.append(("destroy", i)),
        kinds=("TimerHandle",),
    )
    ids: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def late() -> None:
            ids.append(asynchooks.execution_async_id())
            hook.enable()
            done.set_result(None)

        loop.call_later(0.001, late)
        await done
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        hook.disable()

    run(main())
    assert order == [("after", ids[0]), ("destroy", ids[0])]


def test_c31_disabled_inside_a_step_has_heard_its_before_and_hears_no_after(
    engine: None, run: Run
) -> None:
    """test-async-hooks-disable-during-promise"""
    order: list[tuple[str, int]] = []
    hook = asynchooks.create_hook(
        before=lambda i: order.append(("before", i)), after=lambda i: order.append(("after", i))
    )
    ids: list[int] = []

    async def step() -> None:
        ids.append(asynchooks.execution_async_id())
        hook.disable()

    async def main() -> None:
        hook.enable()
        await asyncio.create_task(step())

    run(main())
    assert [event for event, async_id in order if async_id == ids[0]] == ["before"]


def test_c32_a_future_is_settled_and_its_waiter_steps(activity: Activity, run: Run) -> None:
    """promise: the future has init and settled, what awaits it has before and after."""

    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        future_id = max(activity.lives)
        loop.call_soon(future.set_result, None)
        await future
        return asynchooks.execution_async_id(), future_id

    task_id, future_id = run(main())
    future = activity.lives[future_id]
    assert (future.type, future.trigger) == ("Future", task_id)
    assert [event for event in future.events if event != "destroy"] == ["init", "settled"]
    assert activity.lives[task_id].events.count("before") >= 2


def test_c33_born_before_the_hooks(run: Run) -> None:
    """promise.chain-promise-before-init-hooks: before and after, and never a late init."""
    order: list[tuple[str, int]] = []
    hook = asynchooks.create_hook(
        init=lambda i, *_: order.append(("init", i)),
        before=lambda i: order.append(("before", i)),
        after=lambda i: order.append(("after", i)),
    )

    async def main() -> int:
        asynchooks.enable()
        hook.enable()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return asynchooks.execution_async_id()

    try:
        task_id = run(main())
    finally:
        hook.disable()
        asynchooks.disable()
    assert task_id > 1
    events = [event for event, async_id in order if async_id == task_id]
    assert events[:2] == ["before", "after"]
    assert "init" not in events


@pytest.mark.parametrize("how", ["returns", "raises", "is cancelled"])
def test_c34_a_task_is_settled_before_its_last_after(
    activity: Activity, run: Run, how: str
) -> None:
    """async-await"""

    ids: list[int] = []

    async def work() -> None:
        ids.append(asynchooks.execution_async_id())
        await asyncio.sleep(0)
        if how == "raises":
            raise LookupError
        if how == "is cancelled":
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        if how == "raises":
            assert isinstance(task.exception(), LookupError)

    run(main())
    events = [event for event in activity.lives[ids[0]].events if event != "destroy"]
    assert events.count("settled") == 1
    assert events[-2:] == ["settled", "after"]
    assert events.count("before") == events.count("after")


def test_c35_the_resource_is_the_same_object_everywhere(engine: None, run: Run) -> None:
    """async-exec-resource-match"""
    resources: dict[int, object] = {}
    checked: list[int] = []

    def check(async_id: int) -> None:
        if async_id in resources:
            assert asynchooks.execution_async_id() == async_id
            assert asynchooks.execution_async_resource() is resources[async_id]
            checked.append(async_id)

    hook = asynchooks.create_hook(
        init=lambda i, t, trigger, resource: resources.__setitem__(i, resource),
        before=check,
        after=check,
    )

    async def main() -> None:
        hook.enable()
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_soon(lambda: check(asynchooks.execution_async_id()))
        loop.call_later(0.001, done.set_result, None)
        await asyncio.gather(asyncio.sleep(0), done)
        AsyncResource("Mine").run_in_async_scope(check, max(resources))
        hook.disable()

    run(main())
    assert len(set(checked)) >= 5
    resources.clear()


def test_c36_a_storage_made_of_hooks_alone(engine: None, run: Run) -> None:
    """test-async-hooks-execution-async-resource-await: state on the resource, copied in init."""
    values: dict[int, object] = {}

    def init(async_id: int, *rest: object) -> None:
        current = asynchooks.execution_async_id()
        if current in values:
            values[async_id] = values[current]

    hook = asynchooks.create_hook(init=init, destroy=lambda async_id: values.pop(async_id, None))

    async def leaf() -> object:
        await asyncio.sleep(0)
        return values.get(asynchooks.execution_async_id())

    async def handle(number: int) -> list[object]:
        values[asynchooks.execution_async_id()] = number
        await asyncio.sleep(0)
        return [await asyncio.create_task(leaf()), await leaf()]

    async def main() -> list[list[object]]:
        hook.enable()
        found = await asyncio.gather(*(asyncio.create_task(handle(n)) for n in range(10)))
        hook.disable()
        return found

    assert run(main()) == [[number, number] for number in range(10)]


def test_c39_an_error_in_a_callback_leaves_the_ids_right(activity: Activity, run: Run) -> None:
    """test-async-hooks-unhandled-exception-valid-ids"""
    ids: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        done = loop.create_future()
        loop.call_soon(lambda: 1 / 0)
        loop.call_soon(lambda: ids.append(asynchooks.execution_async_id()))
        loop.call_later(0.001, lambda: 1 / 0)
        loop.call_later(0.002, lambda: ids.append(asynchooks.execution_async_id()))
        loop.call_later(0.003, done.set_result, None)
        await done

    run(main())
    assert len(set(ids)) == 2
    for async_id in ids:
        events = activity.lives[async_id].events
        assert [event for event in events if event != "destroy"] == ["init", "before", "after"]


def test_c39_an_error_in_a_done_callback_leaves_the_ids_right(activity: Activity, run: Run) -> None:
    """test-async-hooks-unhandled-exception-valid-ids. A done callback is made by what settles."""
    seen: list[tuple[int, int]] = []
    reports: list[BaseException] = []

    async def main() -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reports.append(context["exception"]))
        future = loop.create_future()

        def look(_: object) -> None:
            seen.append((asynchooks.execution_async_id(), asynchooks.trigger_async_id()))

        future.add_done_callback(look)
        future.add_done_callback(lambda _: 1 / 0)
        future.add_done_callback(look)
        setter = loop.call_soon(future.set_result, None)
        await future
        await asyncio.sleep(0)
        assert len(seen) == 2
        del setter
        return asynchooks.execution_async_id()

    task_id = run(main())
    (first, trigger), (second, other_trigger) = seen
    assert first != second
    assert trigger == other_trigger
    assert activity.lives[trigger].trigger == task_id
    assert activity.lives[first].type == "Handle"
    assert isinstance(reports[0], ZeroDivisionError)
    for async_id in (first, second):
        events = activity.lives[async_id].events
        assert [event for event in events if event != "destroy"] == ["init", "before", "after"]


def test_c40_an_exception_handler_runs_for_the_callback_that_failed(engine: None) -> None:
    """test-async-hooks-unhandled-rejection-context. asyncio's loop only: uvloop calls the handler
    after its handle."""
    seen: list[int] = []
    ids: list[int] = []

    def fail() -> None:
        ids.append(asynchooks.execution_async_id())
        raise LookupError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: seen.append(asynchooks.execution_async_id()))
        loop.call_soon(fail)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert seen == ids
    assert seen[0] > 1


def test_c41_a_callback_s_trigger_is_its_creator_and_it_lives_once(
    activity: Activity, run: Run
) -> None:
    """nexttick-default-trigger"""
    ids: list[tuple[int, int]] = []

    def look() -> None:
        ids.append((asynchooks.execution_async_id(), asynchooks.trigger_async_id()))

    async def main() -> int:
        asyncio.get_running_loop().call_soon(look)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return asynchooks.execution_async_id()

    task_id = run(main())
    ((async_id, trigger),) = ids
    assert trigger == task_id
    activity.forget_resources()
    assert activity.lives[async_id].events == ["init", "before", "after", "destroy"]


def test_c42_a_chain_of_timers_is_a_chain_of_causes(activity: Activity, run: Run) -> None:
    """graph.intervals"""
    ids: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def tick(left: int) -> None:
            ids.append(asynchooks.execution_async_id())
            if left:
                loop.call_later(0.0001, tick, left - 1)
            else:
                done.set_result(None)

        loop.call_later(0.0001, tick, 3)
        await done

    run(main())
    assert len(ids) == 4
    for earlier, later in itertools.pairwise(ids):
        assert activity.lives[later].trigger == earlier
        assert activity.lives[later].type == "TimerHandle"


def test_c42_a_watched_file_is_one_resource(activity: Activity, run: Run) -> None:
    """graph.intervals: one init, however often it fires."""
    seen: list[tuple[int, int]] = []

    async def main() -> int:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            done = loop.create_future()

            def read() -> None:
                ours.recv(1)
                seen.append((asynchooks.execution_async_id(), asynchooks.trigger_async_id()))
                if len(seen) == 3:
                    loop.remove_reader(ours)
                    done.set_result(None)

            loop.add_reader(ours, read)
            theirs.send(b"123")
            await done
        return asynchooks.execution_async_id()

    task_id = run(main())
    ((async_id, trigger),) = set(seen)
    assert trigger == task_id
    events = [event for event in activity.lives[async_id].events if event != "destroy"]
    assert events == ["init", *["before", "after"] * 3]


def test_every_item_is_here_or_says_why_not() -> None:
    folder = Path(__file__).parent
    text = "".join(path.read_text() for path in folder.iterdir() if path.suffix in (".py", ".md"))
    missing = [
        f"C{number}"
        for number in range(1, 44)
        if f"def test_c{number}_" not in text
        and f"_c{number}_" not in text
        and f"C{number} " not in text
        and f"C{number}," not in text
    ]
    assert missing == []

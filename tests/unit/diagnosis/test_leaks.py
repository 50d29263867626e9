"""Resources that do not go away are told of, once."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING

import pytest

import asynchooks
from asynchooks import AsyncResource
from asynchooks.diagnosis import Leak, Watch
from asynchooks.tracing import start_request, use_span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def make(count: int, name: str = "Pool") -> list[AsyncResource]:
    return [AsyncResource(name) for _ in range(count)]


@pytest.fixture
def leaks() -> Iterator[list[Leak]]:
    found: list[Leak] = []
    yield found
    found.clear()  # they hold what they tell of


@pytest.fixture
def watcher(engine: None, leaks: list[Leak]) -> Callable[..., Watch]:
    """A watcher that looks when it is told to, and finds nothing of the tests before."""
    gc.collect()

    def make(*, limit: int = 10, older_than: float = 0.0) -> Watch:
        return Watch(3600, older_than, limit, leaks.append)

    return make


def test_up_to_the_limit_nothing_is_told(watcher: Callable[..., Watch], leaks: list[Leak]) -> None:
    held = make(10)
    watcher().tell()
    assert leaks == []
    del held


def test_beyond_it_the_groups_are_told_the_oldest_first(
    watcher: Callable[..., Watch], leaks: list[Leak]
) -> None:
    held = [*make(3, "Old"), *make(9, "Young")]
    watcher().tell()
    (leak,) = leaks
    assert (leak.kind, leak.count, leak.limit) == ("AsyncResource", 12, 10)
    assert [(group.name, group.count) for group in leak.groups] == [("Old", 3), ("Young", 9)]
    assert leak.groups[0].oldest == leak.oldest[0].age >= leak.groups[1].oldest
    assert leak.oldest[0].resource is held[0]
    assert len(leak.oldest) == 5
    site = leak.groups[0].site
    assert site is not None
    assert (site.filename, site.line) == (__file__, make.__code__.co_firstlineno + 1)
    text = str(leak)
    assert text.startswith("12 of kind AsyncResource are older than 0 s, expected at most 10: ")
    assert f"3 Old at {site}, 9 Young at {site}; the oldest" in text


def test_what_two_lines_have_made_are_two_groups(
    watcher: Callable[..., Watch], leaks: list[Leak]
) -> None:
    async def poll(stop: asyncio.Event) -> None:
        await stop.wait()

    async def main() -> None:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(poll(stop)) for _ in range(4)]
        tasks += [asyncio.create_task(poll(stop)) for _ in range(7)]
        await asyncio.sleep(0)
        watcher().tell()
        stop.set()
        await asyncio.wait(tasks)

    asyncio.run(main())
    (leak,) = (leak for leak in leaks if leak.kind == "Task")
    first, second = (group for group in leak.groups if group.name.endswith("poll"))
    assert (first.count, second.count) == (4, 7)
    assert first.site is not None
    assert second.site is not None
    assert second.site.line == first.site.line + 1


def test_each_group_names_the_request_of_its_oldest(
    watcher: Callable[..., Watch], leaks: list[Leak]
) -> None:
    async def handle(number: int) -> list[AsyncResource]:
        request = start_request(request_id=f"r{number}", method="GET", path="/orders")
        with use_span(request.span):
            return make(6, f"Of r{number}")

    async def main() -> None:
        held = [await asyncio.create_task(handle(number)) for number in range(2)]
        watcher().tell()
        del held

    asyncio.run(main())
    (leak,) = leaks
    assert [group.name for group in leak.groups] == ["Of r0", "Of r1"]
    first, second = (group.request for group in leak.groups)
    assert first is not None
    assert second is not None
    assert (first.id, second.id) == ("r0", "r1")


def test_what_is_young_is_not_counted(watcher: Callable[..., Watch], leaks: list[Leak]) -> None:
    held = make(20)
    watcher(older_than=3600).tell()
    assert leaks == []
    del held


def test_it_is_told_again_when_the_number_has_doubled(
    watcher: Callable[..., Watch], leaks: list[Leak]
) -> None:
    watch = watcher()
    held = make(11)
    counts = []
    for _ in range(12):
        watch.tell()
        held += make(3)
    counts = [leak.count for leak in leaks]
    assert counts == [11, 23]
    held.clear()
    leaks.clear()
    watch.tell()
    held += make(11)
    watch.tell()
    assert [leak.count for leak in leaks] == [11], "it was over, and is new"


def test_the_request_that_the_oldest_belongs_to(
    watcher: Callable[..., Watch], leaks: list[Leak]
) -> None:
    async def handle() -> None:
        request = start_request(request_id="r7", method="GET", path="/orders")
        with use_span(request.span):
            held = make(11)
            watcher().tell()
            (leak,) = leaks
            assert leak.request is request
            assert str(leak).endswith("of GET /orders (r7)")
            del held

    asyncio.run(handle())


def test_tasks_are_named_by_their_coroutine(
    watcher: Callable[..., Watch], leaks: list[Leak]
) -> None:
    async def poll(stop: asyncio.Event) -> None:
        await stop.wait()

    async def main() -> None:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(poll(stop)) for _ in range(11)]
        await asyncio.sleep(0)
        watcher().tell()
        stop.set()
        await asyncio.wait(tasks)

    asyncio.run(main())
    by_kind = {leak.kind: leak for leak in leaks}
    (group,) = (group for group in by_kind["Task"].groups if group.name.endswith("poll"))
    assert group.count == 11


def test_by_default_it_warns_in_the_log(engine: None, caplog: pytest.LogCaptureFixture) -> None:
    held = make(5)
    told = threading.Event()

    class Filter:
        def filter(self, record: object) -> bool:
            told.set()
            return True

    caplog.handler.addFilter(Filter())
    with asynchooks.watch(interval=0.01, older_than=0.001, limit=4):
        assert told.wait(60)
    (record,) = [r for r in caplog.records if "AsyncResource" in r.getMessage()]
    assert record.name == "asynchooks"
    assert "5 Pool" in record.getMessage()
    del held


def test_a_callback_that_fails_is_reported_and_the_watch_goes_on(
    engine: None, caplog: pytest.LogCaptureFixture
) -> None:
    held = make(5)
    calls = threading.Semaphore(0)

    def fail(leak: Leak) -> None:
        calls.release()
        held.extend(make(2 * len(held)))
        raise LookupError

    with asynchooks.watch(interval=0.01, older_than=0.001, limit=4, callback=fail):
        assert calls.acquire(timeout=60)
        assert calls.acquire(timeout=60)
    assert "asynchooks.watch could not look" in caplog.text


def test_it_stops_in_its_own_callback_too(engine: None) -> None:
    held = make(5)
    stopped = threading.Event()

    def stop(leak: Leak) -> None:
        watch.stop()
        stopped.set()

    watch = asynchooks.watch(interval=0.01, older_than=0.001, limit=4, callback=stop)
    assert stopped.wait(60)
    watch.stop()
    del held


@pytest.mark.parametrize("name", ["interval", "older_than", "limit"])
def test_arguments_are_positive(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` is 0, expected a positive number"):
        asynchooks.watch(**{name: 0})  # type: ignore[arg-type] # each takes a number

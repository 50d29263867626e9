"""Messages that are asked for, of a queue of ours: what no broker is needed for."""

from __future__ import annotations

import asyncio
import gc
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from tests.libraries.jobs import of_kind, seen, work

from asynchooks._patching import Patches
from asynchooks.libraries import fetches
from asynchooks.libraries.jobs import Message
from asynchooks.tracing import SpanKind, current_request, suppress_tracing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.libraries.conftest import Trace


class Queue:
    """One that several tasks may ask."""

    def __init__(self, *messages: Any) -> None:
        self._messages = [*messages]

    async def get(self) -> Any:
        await asyncio.sleep(0)
        message = self._messages.pop(0)
        if isinstance(message, Exception):
            raise message
        return message

    async def close(self) -> None:
        await asyncio.sleep(0)


def read(queue: Queue, name: str) -> Sequence[Message]:
    if name == "unreadable":
        raise ValueError("nobody can read this")
    return [Message(name, {"x-request-id": f"r{name}"})]


@pytest.fixture(autouse=True)
def patches(trace: Trace) -> Iterator[None]:
    patches = Patches()
    fetches.follow_tasks(patches)
    patches.wrap(Queue, "get", fetches.fetching("ours", read, where=lambda queue: ""))
    patches.wrap(Queue, "close", fetches.closing)
    yield
    patches.undo()


def test_tasks_that_ask_the_same_queue_are_apart(trace: Trace) -> None:
    async def consume(queue: Queue) -> None:
        for _ in range(10):
            name = await queue.get()
            await asyncio.sleep(0)
            work(name)
        await queue.close()
        assert current_request() is None

    async def main() -> None:
        queue = Queue(*map(str, range(50)))
        await asyncio.gather(*(consume(queue) for _ in range(5)))

    asyncio.run(main())
    assert [request.id for request in seen if request] == [f"r{n}" for n in range(50)]
    jobs = {span.name: span for span in of_kind(trace, SpanKind.CONSUMER)}
    assert len(jobs) == 50
    for name in map(str, range(50)):
        worked, job = trace.named(f"work {name}"), jobs[f"process {name}"]
        assert worked.parent == job.context
        assert job.end_time is not None
        assert worked.end_time is not None
        assert worked.end_time <= job.end_time


def test_what_cannot_be_read_reaches_the_application(
    trace: Trace, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        queue = Queue("unreadable", "a")
        assert await queue.get() == "unreadable"
        assert current_request() is None
        assert await queue.get() == "a"
        assert current_request() is not None

    asyncio.run(main())
    (said,) = (record for record in caplog.records if record.name == "asynchooks")
    assert "could not record a call of" in said.getMessage()
    caplog.clear()
    assert [span.name for span in of_kind(trace, SpanKind.CONSUMER)] == ["process a"]


def test_an_error_passes_without_our_frames(trace: Trace) -> None:
    async def main() -> None:
        queue = Queue(LookupError("no such lamp"), "a", LookupError("no such lamp"))
        with trace.request(), pytest.raises(LookupError) as caught:
            await queue.get()
        frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert frames == ["main", "get"]
        await queue.get()
        with pytest.raises(LookupError):
            await queue.get()
        assert current_request() is None

    asyncio.run(main())
    (received,) = of_kind(trace, SpanKind.CLIENT)
    assert received.attributes["error.type"] == "LookupError"
    (run,) = of_kind(trace, SpanKind.CONSUMER)
    assert "error.type" not in run.attributes  # it was over when its task asked again


def test_where_nothing_is_recorded_nothing_begins(trace: Trace) -> None:
    async def main() -> None:
        queue = Queue("a", "b")
        with suppress_tracing():
            await queue.get()
            assert current_request() is None
        with trace.request() as asker, suppress_tracing():
            await queue.get()
            assert current_request() is asker

    asyncio.run(main())
    assert [span.name for span in trace.spans] == ["GET"]


def test_a_failure_that_is_handled_all_the_while_is_none_of_the_next_job(trace: Trace) -> None:
    async def main() -> None:
        queue = Queue("a")
        try:
            work("fail")
        except LookupError:
            await queue.get()
            await queue.close()

    asyncio.run(main())
    (run,) = of_kind(trace, SpanKind.CONSUMER)
    assert run.events == []


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_task_that_is_never_finished_ends_its_job_when_it_dies(trace: Trace) -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"

    async def consume() -> None:
        await Queue("a").get()
        await loop.create_future()

    async def start() -> None:
        task = asyncio.create_task(consume())
        while not fetches._jobs:
            await asyncio.sleep(0)
        assert not task.done()

    loop.run_until_complete(start())
    loop.close()
    assert of_kind(trace, SpanKind.CONSUMER) == []
    gc.collect()
    assert [span.name for span in of_kind(trace, SpanKind.CONSUMER)] == ["process a"]
    assert not fetches._jobs


def test_undoing_ends_what_is_open(trace: Trace) -> None:
    async def main() -> None:
        await Queue("a").get()
        assert of_kind(trace, SpanKind.CONSUMER) == []
        fetches._forget()
        assert [span.name for span in of_kind(trace, SpanKind.CONSUMER)] == ["process a"]

    asyncio.run(main())
    assert len(of_kind(trace, SpanKind.CONSUMER)) == 1

"""Wherever an application runs a query, it is found below the request that caused it: each row of
the table in docs/tracing.md, which names them all.

Each is visited by two requests at once, and by a third that finds everything made and opened by the
others: threads, connections, workers.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import queue
import re
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiosqlite
import httpx
import pytest
import uvloop
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from tests.integration.test_run_servers import COMMANDS
from tests.libraries.conftest import server_spans
from tests.libraries.serving import serve

import asynchooks
from asynchooks.tracing import Span, use_span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator

    from starlette.requests import Request
    from tests.libraries.conftest import Trace

    # Also a plain function, which is a sync endpoint.
    Row = Callable[["Commons", str], Coroutine[Any, Any, Response | None] | None]
    Loop = Callable[[], asyncio.AbstractEventLoop]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tracing.md").read_text()


def sql(mark: str) -> str:
    return f"SELECT name AS of_{mark} FROM sqlite_master"


class Commons:
    """What the requests share. What can be made by the first of them is."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.get_running_loop()
        self.file = folder / "commons.db"
        self.pool = ThreadPoolExecutor(1)
        self.opening = asyncio.Lock()
        self.queries = asyncio.Semaphore(0)  # released by each that was run
        self.jobs: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self.orders: queue.Queue[tuple[asynchooks.Snapshot, str] | None] = queue.Queue()
        self.tasks: set[asyncio.Task[None]] = set()
        self.connection: aiosqlite.Connection | None = None
        self.worker: asyncio.Task[None] | None = None
        self.thread: threading.Thread | None = None

    def query(self, mark: str) -> None:
        """Any thread."""
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute(sql(mark)).fetchall()
        self.done()

    def done(self) -> None:
        self.loop.call_soon_threadsafe(self.queries.release)

    async def shared_connection(self) -> aiosqlite.Connection:
        async with self.opening:
            if self.connection is None:
                self.connection = await aiosqlite.connect(self.file)
        return self.connection

    @cached_property
    def engine(self) -> Any:
        return create_async_engine(
            f"sqlite+aiosqlite:///{self.file}",
            poolclass=AsyncAdaptedQueuePool,
            pool_size=1,
            max_overflow=0,
        )

    def start_worker(self) -> None:
        async def work() -> None:
            while True:
                await (await self.jobs.get())()

        if self.worker is None:
            with asynchooks.detached():
                self.worker = asyncio.create_task(work())

    def start_thread(self) -> None:
        def work() -> None:
            for here, mark in iter(self.orders.get, None):
                here(self.query, mark)

        if self.thread is None:
            self.thread = threading.Thread(target=work)
            self.thread.start()

    async def close(self) -> None:
        self.pool.shutdown()
        if self.connection is not None:
            await self.connection.close()
        if "engine" in vars(self):
            await self.engine.dispose()
        if self.worker is not None:
            self.worker.cancel()
        if self.thread is not None:
            self.orders.put(None)
            self.thread.join()


# The rows: each runs one query, of this mark.

ROWS: dict[str, Row] = {}


def row(function: Row) -> Row:
    ROWS[function.__name__] = function
    return function


@row
async def endpoint(commons: Commons, mark: str) -> None:
    commons.query(mark)


@row
def sync_endpoint(commons: Commons, mark: str) -> None:
    commons.query(mark)


@row
async def to_thread(commons: Commons, mark: str) -> None:
    await asyncio.to_thread(commons.query, mark)


@row
async def run_in_executor(commons: Commons, mark: str) -> None:
    await commons.loop.run_in_executor(commons.pool, commons.query, mark)


@row
async def submit(commons: Commons, mark: str) -> None:
    await asyncio.wrap_future(commons.pool.submit(commons.query, mark))


@row
async def gather(commons: Commons, mark: str) -> None:
    async def one() -> None:
        await asyncio.sleep(0)
        commons.query(mark)

    await asyncio.gather(one(), asyncio.sleep(0))


@row
async def call_later(commons: Commons, mark: str) -> None:
    def run() -> None:
        commons.query(mark)
        done.set()

    done = asyncio.Event()
    commons.loop.call_later(0, run)
    await done.wait()


@row
async def done_callback(commons: Commons, mark: str) -> None:
    def run(of: asyncio.Task[None]) -> None:
        commons.query(mark)
        done.set()

    done = asyncio.Event()
    asyncio.create_task(asyncio.sleep(0)).add_done_callback(run)
    await done.wait()


@row
async def thread(commons: Commons, mark: str) -> None:
    started = threading.Thread(target=commons.query, args=(mark,))
    started.start()
    await asyncio.to_thread(started.join)


@row
async def run_coroutine_threadsafe(commons: Commons, mark: str) -> None:
    async def one() -> None:
        commons.query(mark)

    def run() -> None:
        asyncio.run_coroutine_threadsafe(one(), commons.loop).result()

    started = threading.Thread(target=run)
    started.start()
    await asyncio.to_thread(started.join)


@row
async def streaming(commons: Commons, mark: str) -> Response:
    async def parts() -> AsyncIterator[str]:
        yield "before"
        commons.query(mark)
        yield "after"

    return StreamingResponse(parts())


@row
async def sync_streaming(commons: Commons, mark: str) -> Response:
    def parts() -> Iterator[str]:
        yield "before"
        commons.query(mark)
        yield "after"

    return StreamingResponse(parts())


@row
async def background_task(commons: Commons, mark: str) -> Response:
    return PlainTextResponse("soon", background=BackgroundTask(endpoint, commons, mark))


@row
async def task_after_the_answer(commons: Commons, mark: str) -> Response:
    async def later() -> None:
        await answered.wait()
        commons.query(mark)

    async def answer() -> None:
        answered.set()

    answered = asyncio.Event()
    task = asyncio.create_task(later())
    commons.tasks.add(task)
    task.add_done_callback(commons.tasks.discard)
    return PlainTextResponse("soon", background=BackgroundTask(answer))


@row
async def aiosqlite_execute(commons: Commons, mark: str) -> None:
    async with aiosqlite.connect(":memory:") as connection:
        await connection.execute(sql(mark))
    commons.done()


@row
async def shared_aiosqlite_execute(commons: Commons, mark: str) -> None:
    await (await commons.shared_connection()).execute(sql(mark))
    commons.done()


@row
async def shared_aiosqlite_cursor(commons: Commons, mark: str) -> None:
    connection = await commons.shared_connection()
    async with connection.cursor() as cursor:
        await cursor.execute(sql(mark))
    commons.done()


@row
async def pooled_sqlalchemy(commons: Commons, mark: str) -> None:
    async with commons.engine.connect() as connection:
        await connection.execute(text(sql(mark)))
    commons.done()


@row
async def asyncio_queue_worker(commons: Commons, mark: str) -> None:
    async def job() -> None:
        commons.query(mark)

    commons.start_worker()
    await commons.jobs.put(asynchooks.bind(job))


@row
async def queue_worker(commons: Commons, mark: str) -> None:
    commons.start_thread()
    commons.orders.put((asynchooks.snapshot(), mark))


# Those that other tests show.
ELSEWHERE = {
    "get_after_a_large_post": (
        "libraries/test_asgi.py::test_a_get_after_a_large_post_is_a_request_of_its_own"
    ),
    "batch": "libraries/test_matrix.py::test_batch",
    "single_flight": (
        "unit/tracing/test_links.py::test_shared_work_is_a_trace_of_its_own_linked_to_all_who_wait"
    ),
    **{
        row: "integration/test_run_servers.py::"
        f"test_each_request_has_its_query_and_its_log_line[{command}]"
        for row, command in {
            "workers": "uvicorn-workers",
            "reload": "uvicorn-reload",
            "preload": "gunicorn-preload",
        }.items()
    },
    "two_thousand_at_once": (
        "integration/crowd/test_crowd.py::test_two_thousand_at_once_are_apart"
    ),
}


# The tests.

each_loop = pytest.mark.parametrize(
    "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


def check(trace: Trace, *marks: str) -> None:
    """Each mark is of one query, in the trace of the request of this id; nothing is below a span
    that was over, as if that were open."""
    servers = {span.request.id: span for span in server_spans(trace) if span.request is not None}
    assert servers.keys() == set(marks)
    assert len({span.context.trace_id for span in servers.values()}) == len(marks)
    for mark, server in servers.items():
        (query,) = (span for span in trace.query_spans() if is_of(span, mark))
        assert query.request is server.request
        assert query.context.trace_id == server.context.trace_id
    by_id = {span.context.span_id: span for span in trace.spans}
    for span in trace.spans:
        parent = by_id[span.parent.span_id] if span.parent is not None else None
        if parent is not None and span.start_time >= (parent.end_time or 0):
            assert parent.context in [link.context for link in span.links]
            assert span.attributes.keys() & {"asynchooks.background", "asynchooks.outlives_parent"}


def is_of(query: Span, mark: str) -> bool:
    return f" of_{mark} " in str(query.attributes["db.query.text"])


def endpoint_of(row: Row, commons: Commons) -> Any:
    """`row` as an endpoint, of the kind that it is."""

    async def call_async(request: Request) -> Response:
        answer: Any = row(commons, request.path_params["mark"])
        return await answer or PlainTextResponse("done")

    def call(request: Request) -> Response:
        row(commons, request.path_params["mark"])
        return PlainTextResponse("done")

    return call_async if inspect.iscoroutinefunction(row) else call


@each_loop
@pytest.mark.parametrize("row", ROWS)
def test_a_query_is_below_its_request(trace: Trace, tmp_path: Path, loop: Loop, row: str) -> None:
    async def main() -> None:
        commons = Commons(tmp_path)
        app = Starlette(routes=[Route("/{mark}", endpoint_of(ROWS[row], commons))])
        async with (
            serve("uvicorn-httptools", app) as client,
            httpx.AsyncClient(base_url=client.base_url, timeout=60) as keeping,
        ):

            async def visit(mark: str) -> None:
                answer = await keeping.get(f"/{mark}", headers={"x-request-id": mark})
                answer.raise_for_status()
                await commons.queries.acquire()

            await asyncio.gather(visit("ada"), visit("ben"))
            await visit("cid")
        await commons.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
    check(trace, "ada", "ben", "cid")


@each_loop
def test_batch(trace: Trace, tmp_path: Path, loop: Loop) -> None:
    """A query for two requests is nobody's, and linked to both."""

    async def main() -> None:
        async def insert(request: Request) -> Response:
            rows.append(asynchooks.snapshot())
            if len(rows) == 2:
                with asynchooks.detached():
                    await asyncio.create_task(insert_all())
            else:
                await inserted.wait()
            return PlainTextResponse("done")

        async def insert_all() -> None:
            batch = Span("batch")
            with use_span(batch):
                for here in rows:
                    asynchooks.link(here)
                commons.query("both")
            batch.end()
            inserted.set()

        commons = Commons(tmp_path)
        rows: list[asynchooks.Snapshot] = []
        inserted = asyncio.Event()
        app = Starlette(routes=[Route("/", insert)])
        async with serve("uvicorn-httptools", app) as client:
            await asyncio.gather(client.get("/"), client.get("/"))
        await commons.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
    (query,) = trace.query_spans()
    batch = trace.named("batch")
    assert is_of(query, "both")
    assert (query.parent, query.request) == (batch.context, None)
    linked = {link.context.span_id for link in batch.links}
    assert linked == {span.context.span_id for span in server_spans(trace)}
    assert len(linked) == 2


# The page.


def test_the_page_names_every_row() -> None:
    table = PAGE.partition("## Whose query it is\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert listed == [*ROWS, *ELSEWHERE]


@pytest.mark.parametrize("row", ELSEWHERE)
def test_what_is_shown_elsewhere_is_a_test(row: str) -> None:
    path, _, name = ELSEWHERE[row].partition("::")
    function, _, case = name.partition("[")
    tree = ast.parse((ROOT / "tests" / path).read_text())
    assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert not case or case.rstrip("]") in COMMANDS

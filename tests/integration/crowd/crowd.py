"""A service that holds each visit until a whole crowd is there, and then lets all go at once, at
what they have in common, in every way that an application has to do a thing elsewhere or later.

`/report` says what was done for each, once all of it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import sqlite3
import threading
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

from async_lru import alru_cache
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from tests.integration.crowd.commons import Commons, Job
from tests.integration.crowd.visits import Crowds, Visit

import asynchooks
from asynchooks.tracing import Span, use_span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from starlette.requests import Request

    Kind = Callable[[Visit], Awaitable[Response | None]]

# How many visits are held: the numbers from 0 on, then as many from there on, and so on.
CROWD = int(os.environ["CROWD"])
ECHO = os.environ["CROWD_ECHO"]
# In a crowd, the visits of a kind are so many groups, each with a flight and a cache of its own.
GROUPS = 10
# To be cancelled. PostgreSQL loses a cancellation that arrives before its query: then it has to end
# by itself, after so many seconds, or its connection never goes back to the pool.
LONG_QUERY = "SELECT pg_sleep($1) /* {} */"
LONG = 1.0

logger = logging.getLogger("crowd")

crowds = Crowds(CROWD)
commons: Commons


# The kinds of visits.


async def many_at_once(visit: Visit) -> None:
    async def one() -> None:
        await commons.postgres.fetchval(visit.sql())
        visit.log()

    await asyncio.gather(*(one() for _ in range(3)))


async def in_a_transaction(visit: Visit) -> None:
    async with commons.postgres.acquire() as connection, connection.transaction():
        await connection.execute(visit.sql())
        visit.log()
        await connection.fetch(visit.sql())


async def through_sqlalchemy(visit: Visit) -> None:
    for _ in range(2):
        async with commons.engine.connect() as connection:
            await connection.execute(text(visit.sql()))
            visit.log()
            await connection.execute(text(visit.sql()))


async def in_redis(visit: Visit) -> None:
    commands = visit.spell()
    for is_transaction in (False, True):
        async with commons.redis.pipeline(transaction=is_transaction) as pipeline:
            for command in commands:
                pipeline.execute_command(command, visit.mark)
            visit.made.append("; ".join(f"{command} ?" for command in commands))
            await pipeline.execute()
    for command in commands:
        visit.made.append(f"{command} ?")
        await commons.redis.execute_command(command, visit.mark)  # type: ignore[no-untyped-call]


async def calling_out(visit: Visit) -> None:
    (await commons.httpx.get(visit.url(ECHO))).raise_for_status()
    visit.log()
    async with commons.aiohttp.get(visit.url(ECHO), raise_for_status=True) as answer:
        await answer.read()


def in_a_file(visit: Visit) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(visit.sql()).fetchall()
        visit.log()


async def in_pools_of_threads(visit: Visit) -> None:
    await asyncio.to_thread(in_a_file, visit)
    await commons.loop.run_in_executor(commons.threads, in_a_file, visit)
    await asyncio.wrap_future(commons.threads.submit(in_a_file, visit))


async def in_a_thread_that_calls_back(visit: Visit) -> None:
    def work() -> None:
        in_a_file(visit)
        query = commons.postgres.fetchval(visit.sql())
        asyncio.run_coroutine_threadsafe(query, commons.loop).result()
        visit.log()
        commons.loop.call_soon_threadsafe(done.set_result, None)

    done = commons.loop.create_future()
    threading.Thread(target=work).start()
    await done


async def streamed(visit: Visit) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            await commons.postgres.fetchval(visit.sql())
            visit.log()
            yield b"part"

    return StreamingResponse(parts())


async def streamed_by_threads(visit: Visit) -> Response:
    def parts() -> Iterator[bytes]:
        for _ in range(3):
            in_a_file(visit)
            yield b"part"

    return StreamingResponse(parts())


async def left_while_it_is_streamed(visit: Visit) -> Response:
    """The client goes away when it has the first part."""
    crowds.begin()

    async def parts() -> AsyncIterator[bytes]:
        await commons.postgres.fetchval(visit.sql())
        yield b"part"
        try:
            async with commons.postgres.acquire() as connection:
                await connection.fetchval(visit.sql(LONG_QUERY), LONG)
                await asyncio.Event().wait()
        finally:
            visit.log()
            commons.create_task(clean_up())

    async def clean_up() -> None:
        await commons.postgres.execute(visit.sql())
        crowds.end()

    return StreamingResponse(parts(), headers={"x-leave": "now"})


async def cancelled(visit: Visit) -> None:
    """A task of it, in the middle of a query; another by a deadline."""

    async def work() -> None:
        try:
            async with commons.postgres.acquire() as connection:
                has_begun.set()
                await connection.fetchval(visit.sql(LONG_QUERY), LONG)
        finally:
            visit.log()

    has_begun = asyncio.Event()
    task = asyncio.create_task(work())
    await has_begun.wait()
    task.cancel()
    await asyncio.wait([task])
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await commons.httpx.get(visit.url(ECHO))
    await commons.postgres.fetchval(visit.sql())


async def behind_a_lock(visit: Visit) -> None:
    """Whoever comes first fills the cache for its group."""
    group = group_of(visit.number)
    async with commons.locks[group]:
        if group not in commons.cache:
            commons.cache[group] = await commons.postgres.fetchval(visit.sql())
            visit.log()
    visit.log()


async def in_the_flight_of_another(visit: Visit) -> None:
    """Whoever comes first makes it; the others say that they wait for it, too."""

    async def fly() -> None:
        await commons.postgres.fetchval(visit.sql())
        visit.log()

    group = group_of(visit.number)
    task = commons.flights.get(group)
    if task is None:
        task = commons.flights[group] = asyncio.create_task(fly())
        crowds.shared[f"task of {visit.mark}"] = []
        task.set_name(f"task of {visit.mark}")
    else:
        asynchooks.link(task)
        crowds.shared[task.get_name()].append(visit.mark)
    await asyncio.shield(task)
    visit.log()


@asynchooks.shared
@alru_cache(maxsize=None)
async def rate(group: int) -> None:
    await commons.all_guests_are_here[group].wait()
    logger.info("did shared-%d-rate", group)
    await commons.postgres.fetchval(f"SELECT CURRENT_TIMESTAMP /* shared-{group}-rate */")


async def in_a_shared_flight(visit: Visit) -> None:
    group = group_of(visit.number)
    guests = crowds.shared[f"shared-{group}-rate"]
    guests.append(visit.mark)
    if len(guests) == size_of(group, visit.kind):
        commons.all_guests_are_here[group].set()
    await rate(group)
    visit.log()
    await rate(group)  # is in the cache


async def by_a_worker(visit: Visit) -> None:
    async def job() -> None:
        await commons.postgres.fetchval(visit.sql())
        visit.log()
        done.set_result(None)

    done = commons.loop.create_future()
    commons.jobs.put_nowait(asynchooks.bind(job))
    await done


async def by_a_thread(visit: Visit) -> None:
    job = Job(visit, asynchooks.snapshot(), commons.loop.create_future())
    commons.orders.put(job)
    await job.done


async def in_a_batch(visit: Visit) -> None:
    job = Job(visit, asynchooks.snapshot(), commons.loop.create_future())
    commons.rows.put_nowait(job)
    await job.done


async def after_the_answer(visit: Visit) -> Response:
    crowds.begin()

    async def work() -> None:
        await commons.postgres.fetchval(visit.sql())
        visit.log()
        commons.loop.call_later(0, timer)

    def timer() -> None:
        visit.log()
        commons.create_task(last())

    async def last() -> None:
        await commons.postgres.fetchval(visit.sql())
        crowds.end()

    return PlainTextResponse("soon", background=BackgroundTask(work))


async def failing(visit: Visit) -> None:
    await commons.postgres.fetchval(visit.sql("SELECT nothing /* {} */"))


KINDS: tuple[Kind, ...] = (
    many_at_once,
    in_a_transaction,
    through_sqlalchemy,
    in_redis,
    calling_out,
    in_pools_of_threads,
    in_a_thread_that_calls_back,
    streamed,
    streamed_by_threads,
    left_while_it_is_streamed,
    cancelled,
    behind_a_lock,
    in_the_flight_of_another,
    in_a_shared_flight,
    by_a_worker,
    by_a_thread,
    in_a_batch,
    after_the_answer,
    failing,
)


def kind_of(number: int) -> Kind:
    return KINDS[number % len(KINDS)]


def group_of(number: int) -> int:
    crowd, place = divmod(number, CROWD)
    return crowd * GROUPS + place % GROUPS


@functools.cache
def size_of(group: int, kind: str) -> int:
    """How many visits of this kind are in the group."""
    first = group // GROUPS * CROWD
    numbers = range(first, first + CROWD)
    return sum(group_of(n) == group and kind_of(n).__name__ == kind for n in numbers)


# The workers, which live longer than any visit.

handled = asynchooks.AsyncLocalStorage[str](name="handled")


def _begin_message(what: str) -> None:
    """Set a store as a loop over messages does, to the end of this one."""
    crowds.left_behind += filter(None, [handled.get_store()])
    handled.enter_with(what)


async def _messages(of: asyncio.Queue[Any]) -> AsyncIterator[Any]:
    while True:
        yield await of.get()


async def serve_jobs() -> None:
    async for job in asynchooks.each(_messages(commons.jobs)):
        _begin_message("job")
        await job()


def serve_orders() -> None:
    for job in asynchooks.each(iter(commons.orders.get, None)):
        _begin_message("order")
        job.here(in_a_file, job.visit)
        commons.loop.call_soon_threadsafe(job.done.set_result, None)


async def serve_rows() -> None:
    """As many as there are at once, by one query."""
    async for first in asynchooks.each(_messages(commons.rows)):
        _begin_message("row")
        batch = [first, *(commons.rows.get_nowait() for _ in range(min(20, commons.rows.qsize())))]
        name = f"shared-{first.visit.mark[5:]}-batch"
        span = Span("batch")
        with use_span(span):
            for job in batch:
                asynchooks.link(job.here)
                crowds.shared[name].append(job.visit.mark)
            await commons.postgres.fetchval(f"SELECT CURRENT_TIMESTAMP /* {name} */")
            logger.info("did %s", name)
        span.end()
        for job in batch:
            job.done.set_result(None)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    global commons
    commons = Commons()
    workers = [asyncio.create_task(serve()) for serve in (serve_jobs, serve_jobs, serve_rows)]
    thread = threading.Thread(target=serve_orders)
    thread.start()
    async with commons.postgres, commons.redis, commons.httpx, commons.aiohttp:
        async with commons.engine.connect():
            pass  # the first one asks the server what it is
        yield
        await commons.engine.dispose()
    commons.orders.put(None)
    thread.join()
    for worker in workers:
        worker.cancel()


async def visit(request: Request) -> Response:
    number = request.path_params["number"]
    kind = kind_of(number)
    visit = Visit(number, kind.__name__)
    visit.log()
    await crowds.join(visit)
    return await kind(visit) or PlainTextResponse("done")


async def report(request: Request) -> Response:
    return JSONResponse(await crowds.report())


app = Starlette(
    routes=[Route("/visit/{number:int}", visit), Route("/report", report)], lifespan=lifespan
)

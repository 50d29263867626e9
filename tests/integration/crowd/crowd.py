"""A service that holds each visit until a whole crowd of them is there, and then lets all go at once
at what they share, in every way that an application has to do a thing elsewhere or later.

What a visit makes (texts of SQL, commands of Redis, URLs, log lines) carries its mark and a number,
and is noted, so that it can be looked for. `/report` says what was noted, once all is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import os
import queue
import sqlite3
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import asyncpg
import httpx
import redis.asyncio
from async_lru import alru_cache
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import asynchooks
from asynchooks.tracing import Span, flush, stats, use_span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from starlette.requests import Request

    Kind = Callable[["Visit"], Awaitable[Response | None]]

# How many visits are held: the numbers from 0 on, then as many from there on, and so on.
CROWD = int(os.environ["CROWD"])
ECHO = os.environ["CROWD_ECHO"]
POSTGRES = os.environ["CROWD_POSTGRES"]
REDIS_PORT = int(os.environ["CROWD_REDIS_PORT"])

# The digits in which a visit's number is spelled for Redis: of a command, its name is recorded.
COMMANDS = ("GET", "EXISTS", "TTL", "TYPE", "STRLEN", "LLEN", "SCARD", "HLEN")
# In a crowd, the visits of a kind are so many groups, each with a flight and a cache of its own.
GROUPS = 10

logger = logging.getLogger("crowd")
logged: list[tuple[str, str]] = []


class _Keep(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        logged.append((record.request_id, record.getMessage()))  # type: ignore[attr-defined]


logger.addHandler(_Keep())
logger.setLevel(logging.INFO)
logger.propagate = False


def kind_and_group(number: int) -> tuple[Kind, int]:
    crowd, place = divmod(number, CROWD)
    return KINDS[number % len(KINDS)], crowd * GROUPS + place % GROUPS


@functools.cache
def size_of(kind: Kind, group: int) -> int:
    first = group // GROUPS * CROWD
    return sum(kind_and_group(number) == (kind, group) for number in range(first, first + CROWD))


class Visit:
    """One request, and what it has made. Any thread."""

    def __init__(self, number: int) -> None:
        self.kind, self.group = kind_and_group(number)
        self.mark = f"mark-{number:04}"
        self.made: list[str] = []
        self._number = number
        self._numbers = itertools.count()

    def _note(self, form: str) -> str:
        made = form.format(f"{self.mark}-{next(self._numbers)}")
        self.made.append(made)
        return made

    def sql(self, form: str = "SELECT CURRENT_TIMESTAMP /* {} */") -> str:
        return self._note(form)

    def url(self) -> str:
        return self._note(f"{ECHO}/echo/{{}}")

    def log(self) -> None:
        logger.info("%s", self._note("did {}"))

    def spell(self) -> tuple[str, ...]:
        """Commands that no other visit sends in this order, for a key each."""
        return tuple(COMMANDS[self._number >> shift & 7] for shift in (9, 6, 3, 0))


class Crowds:
    """All visits. Whose work outlives its answer has to `begin()` it before, and to `end()` it."""

    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self.shared: defaultdict[str, list[str]] = defaultdict(list)
        self.left_behind: list[str] = []  # by one message of a worker, for the next
        self._all_are_here = asyncio.Event()
        self._open = 0
        self._nothing_is_open = asyncio.Event()
        self._nothing_is_open.set()

    async def join(self, visit: Visit) -> None:
        self.visits.append(visit)
        all_are_here = self._all_are_here
        if len(self.visits) % CROWD == 0:
            self._all_are_here = asyncio.Event()
            all_are_here.set()
        await all_are_here.wait()

    def begin(self) -> None:
        self._open += 1
        self._nothing_is_open.clear()

    def end(self) -> None:
        self._open -= 1
        if self._open == 0:
            self._nothing_is_open.set()

    async def report(self) -> dict[str, Any]:
        await self._nothing_is_open.wait()
        await asyncio.to_thread(flush, 60)
        return {
            "made": {visit.mark: visit.made for visit in self.visits},
            "kinds": {visit.mark: visit.kind.__name__ for visit in self.visits},
            "shared": self.shared,
            "logged": logged,
            "left_behind": self.left_behind,
            "stats": stats()._asdict(),
        }


class Job(NamedTuple):
    """A visit that waits for a worker, which has to know where it came from."""

    visit: Visit
    here: asynchooks.Snapshot
    done: asyncio.Future[None]


class Shared:
    """What all visits use."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.postgres: asyncpg.Pool[asyncpg.Record] = asyncpg.create_pool(
            POSTGRES, min_size=1, max_size=10
        )
        self.engine = create_async_engine(
            POSTGRES.replace("postgresql:", "postgresql+asyncpg:"), pool_size=5, pool_timeout=600
        )
        self.redis = redis.asyncio.Redis(
            connection_pool=redis.asyncio.BlockingConnectionPool(
                port=REDIS_PORT, max_connections=10, timeout=None
            )
        )
        self.httpx = httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=20))
        self.aiohttp = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=20))
        self.threads = ThreadPoolExecutor(4)
        self.locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.cache: dict[int, Any] = {}
        self.flights: dict[int, asyncio.Task[Any]] = {}
        self.all_guests_are_here: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.jobs: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self.orders: queue.Queue[Job | None] = queue.Queue()
        self.rows: asyncio.Queue[Job] = asyncio.Queue()
        self.later: set[asyncio.Task[Any]] = set()

    def create_task(self, work: Any) -> asyncio.Task[Any]:
        """A task that nobody waits for."""
        task = self.loop.create_task(work)
        self.later.add(task)
        task.add_done_callback(self.later.discard)
        return task


shared: Shared
crowds: Crowds


# The kinds of visits.


async def many_at_once(visit: Visit) -> None:
    async def one() -> None:
        await shared.postgres.fetchval(visit.sql())
        visit.log()

    await asyncio.gather(*(one() for _ in range(3)))


async def in_a_transaction(visit: Visit) -> None:
    async with shared.postgres.acquire() as connection, connection.transaction():
        await connection.execute(visit.sql())
        visit.log()
        await connection.fetch(visit.sql())


async def through_sqlalchemy(visit: Visit) -> None:
    for _ in range(2):
        async with shared.engine.connect() as connection:
            await connection.execute(text(visit.sql()))
            visit.log()
            await connection.execute(text(visit.sql()))


async def in_redis(visit: Visit) -> None:
    commands = visit.spell()
    for is_transaction in (False, True):
        async with shared.redis.pipeline(transaction=is_transaction) as pipeline:
            for command in commands:
                pipeline.execute_command(command, visit.mark)
            visit.made.append("; ".join(f"{command} ?" for command in commands))
            await pipeline.execute()
    for command in commands:
        visit.made.append(f"{command} ?")
        await shared.redis.execute_command(command, visit.mark)


async def calling_out(visit: Visit) -> None:
    (await shared.httpx.get(visit.url())).raise_for_status()
    visit.log()
    async with shared.aiohttp.get(visit.url(), raise_for_status=True) as answer:
        await answer.read()


def in_a_file(visit: Visit) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(visit.sql()).fetchall()
        visit.log()


async def in_pools_of_threads(visit: Visit) -> None:
    await asyncio.to_thread(in_a_file, visit)
    await shared.loop.run_in_executor(shared.threads, in_a_file, visit)
    await asyncio.wrap_future(shared.threads.submit(in_a_file, visit))


async def in_a_thread_that_calls_back(visit: Visit) -> None:
    def work() -> None:
        in_a_file(visit)
        query = shared.postgres.fetchval(visit.sql())
        asyncio.run_coroutine_threadsafe(query, shared.loop).result()
        visit.log()
        shared.loop.call_soon_threadsafe(done.set_result, None)

    done = shared.loop.create_future()
    threading.Thread(target=work).start()
    await done


async def streamed(visit: Visit) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            await shared.postgres.fetchval(visit.sql())
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
        await shared.postgres.fetchval(visit.sql())
        yield b"part"
        try:
            async with shared.postgres.acquire() as connection:
                await connection.fetchval(visit.sql("SELECT pg_sleep($1) /* {} */"), 3600)
        finally:
            visit.log()
            shared.create_task(clean_up())

    async def clean_up() -> None:
        await shared.postgres.execute(visit.sql())
        crowds.end()

    return StreamingResponse(parts(), headers={"x-leave": "now"})


async def cancelled(visit: Visit) -> None:
    """A task of it, in the middle of a query; another by a deadline."""

    async def work() -> None:
        try:
            async with shared.postgres.acquire() as connection:
                has_begun.set()
                await connection.fetchval(visit.sql("SELECT pg_sleep($1) /* {} */"), 3600)
        finally:
            visit.log()

    has_begun = asyncio.Event()
    task = asyncio.create_task(work())
    await has_begun.wait()
    task.cancel()
    await asyncio.wait([task])
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await shared.httpx.get(visit.url())
    await shared.postgres.fetchval(visit.sql())


async def behind_a_lock(visit: Visit) -> None:
    """Whoever comes first fills the cache for its group."""
    async with shared.locks[visit.group]:
        if visit.group not in shared.cache:
            shared.cache[visit.group] = await shared.postgres.fetchval(visit.sql())
            visit.log()
    visit.log()


async def in_the_flight_of_another(visit: Visit) -> None:
    """Whoever comes first makes it; the others say that they wait for it, too."""

    async def fly() -> None:
        await shared.postgres.fetchval(visit.sql())
        visit.log()

    task = shared.flights.get(visit.group)
    if task is None:
        task = shared.flights[visit.group] = asyncio.create_task(fly())
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
    await shared.all_guests_are_here[group].wait()
    logger.info("did shared-%d-rate", group)
    await shared.postgres.fetchval(f"SELECT CURRENT_TIMESTAMP /* shared-{group}-rate */")


async def in_a_shared_flight(visit: Visit) -> None:
    guests = crowds.shared[f"shared-{visit.group}-rate"]
    guests.append(visit.mark)
    if len(guests) == size_of(visit.kind, visit.group):
        shared.all_guests_are_here[visit.group].set()
    await rate(visit.group)
    visit.log()
    await rate(visit.group)  # is in the cache


async def by_a_worker(visit: Visit) -> None:
    async def job() -> None:
        await shared.postgres.fetchval(visit.sql())
        visit.log()
        done.set_result(None)

    done = shared.loop.create_future()
    shared.jobs.put_nowait(asynchooks.bind(job))
    await done


async def by_a_thread(visit: Visit) -> None:
    job = Job(visit, asynchooks.snapshot(), shared.loop.create_future())
    shared.orders.put(job)
    await job.done


async def in_a_batch(visit: Visit) -> None:
    job = Job(visit, asynchooks.snapshot(), shared.loop.create_future())
    shared.rows.put_nowait(job)
    await job.done


async def after_the_answer(visit: Visit) -> Response:
    crowds.begin()

    async def work() -> None:
        await shared.postgres.fetchval(visit.sql())
        visit.log()
        shared.loop.call_later(0, timer)

    def timer() -> None:
        visit.log()
        shared.create_task(last())

    async def last() -> None:
        await shared.postgres.fetchval(visit.sql())
        crowds.end()

    return PlainTextResponse("soon", background=BackgroundTask(work))


async def failing(visit: Visit) -> None:
    await shared.postgres.fetchval(visit.sql("SELECT nothing /* {} */"))


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


# The workers, which live longer than any visit.

handled = asynchooks.AsyncLocalStorage[str](name="handled")


def _begin_message(what: str) -> None:
    """Set a store as a loop over messages does, to the end of this one."""
    crowds.left_behind += [store] if (store := handled.get_store()) is not None else []
    handled.enter_with(what)


async def _messages(of: asyncio.Queue[Any]) -> AsyncIterator[Any]:
    while True:
        yield await of.get()


async def serve_jobs() -> None:
    async for job in asynchooks.each(_messages(shared.jobs)):
        _begin_message("job")
        await job()


def serve_orders() -> None:
    for job in asynchooks.each(iter(shared.orders.get, None)):
        _begin_message("order")
        job.here(in_a_file, job.visit)
        shared.loop.call_soon_threadsafe(job.done.set_result, None)


async def serve_rows() -> None:
    """As many as there are at once, by one query."""
    async for first in asynchooks.each(_messages(shared.rows)):
        _begin_message("row")
        batch = [first, *(shared.rows.get_nowait() for _ in range(min(20, shared.rows.qsize())))]
        name = f"shared-{first.visit.mark[5:]}-batch"
        with use_span(Span("batch")) as span:
            for job in batch:
                asynchooks.link(job.here)
                crowds.shared[name].append(job.visit.mark)
            await shared.postgres.fetchval(f"SELECT CURRENT_TIMESTAMP /* {name} */")
            logger.info("did %s", name)
        span.end()
        for job in batch:
            job.done.set_result(None)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    global shared, crowds
    shared, crowds = Shared(), Crowds()
    workers = [asyncio.create_task(serve()) for serve in (serve_jobs, serve_jobs, serve_rows)]
    thread = threading.Thread(target=serve_orders)
    thread.start()
    async with shared.postgres, shared.redis, shared.httpx, shared.aiohttp:
        async with shared.engine.connect():
            pass  # the first one asks the server what it is
        yield
    await shared.engine.dispose()
    shared.orders.put(None)
    thread.join()
    for worker in workers:
        worker.cancel()


async def visit(request: Request) -> Response:
    number = request.path_params["number"]
    visit = Visit(number)
    visit.log()
    await crowds.join(visit)
    return await KINDS[number % len(KINDS)](visit) or PlainTextResponse("done")


async def report(request: Request) -> Response:
    return JSONResponse(await crowds.report())


app = Starlette(
    routes=[Route("/visit/{number:int}", visit), Route("/report", report)], lifespan=lifespan
)

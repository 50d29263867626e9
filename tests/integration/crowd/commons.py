"""What all visits have in common: pools, clients, locks, caches, and queues to workers."""

from __future__ import annotations

import asyncio
import os
import queue
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import asyncpg
import httpx
import redis.asyncio
from sqlalchemy.ext.asyncio import create_async_engine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.integration.crowd.visits import Visit

    import asynchooks


class Job(NamedTuple):
    """A visit that waits for a worker, which has to know where it came from."""

    visit: Visit
    here: asynchooks.Snapshot
    done: asyncio.Future[None]


class Commons:
    """What all visits use."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.postgres: asyncpg.Pool[asyncpg.Record] = asyncpg.create_pool(
            os.environ["CROWD_POSTGRES"], min_size=1, max_size=10
        )
        self.engine = create_async_engine(
            os.environ["CROWD_POSTGRES"].replace("postgresql:", "postgresql+asyncpg:"),
            pool_size=5,
            pool_timeout=600,
        )
        self.redis = redis.asyncio.Redis(
            connection_pool=redis.asyncio.BlockingConnectionPool(
                port=int(os.environ["CROWD_REDIS_PORT"]), max_connections=10, timeout=None
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

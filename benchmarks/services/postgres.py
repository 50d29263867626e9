"""FastAPI, and five PostgreSQL queries for each request, by asyncpg and its pool."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
from fastapi import FastAPI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

QUERIES = 5

pool: Any = None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    global pool
    async with asyncpg.create_pool(os.environ["BENCH_POSTGRES"], min_size=8, max_size=8) as pool:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/items/{number}")
async def item(number: int) -> dict[str, object]:
    async with pool.acquire() as connection:
        names = [
            await connection.fetchval("select 'item ' || $1::int", number + i)
            for i in range(QUERIES)
        ]
    return {"id": number, "names": names}

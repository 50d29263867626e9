"""The database: its schema, its first rows, and a pool of connections."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from contextlib import asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING, Self

import aiosqlite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SCHEMA = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, country TEXT NOT NULL);
CREATE TABLE products (
    id INTEGER PRIMARY KEY, title TEXT NOT NULL, price INTEGER NOT NULL,
    stock INTEGER NOT NULL CHECK (stock >= 0), weight INTEGER NOT NULL
);
CREATE TABLE reviews (
    id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL REFERENCES products, text TEXT NOT NULL
);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers,
    status TEXT NOT NULL DEFAULT 'placed'
);
CREATE TABLE items (
    order_id INTEGER NOT NULL REFERENCES orders, product_id INTEGER NOT NULL REFERENCES products,
    quantity INTEGER NOT NULL, price INTEGER NOT NULL
);
CREATE TABLE mails (id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX orders_by_customer ON orders (customer_id);
CREATE INDEX items_by_order ON items (order_id);
"""
THINGS = ("Teapot", "Notebook", "Lamp", "Backpack", "Chess set", "Umbrella", "Kettle", "Blanket")
COLOURS = ("red", "blue", "green", "black", "white")
COUNTRIES = ("DE", "FR", "IT", "NL", "PL")
OPINIONS = ("Does what it should.", "Lovely colour.", "Smaller than I thought.", "A good present.")


def create(path: Path) -> None:
    """Make the database and fill it, always with the same rows. Nothing if it is there."""
    if path.exists():
        return
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    _fill(unfinished)
    # Of several workers that start at once, the first to be ready provides it.
    with suppress(FileExistsError):
        os.link(unfinished, path)
    unfinished.unlink()


def _fill(path: Path) -> None:
    chance = random.Random(1)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(SCHEMA)
        database.executemany(
            "INSERT INTO customers VALUES (?, ?, ?)",
            [(i, f"Customer {i}", chance.choice(COUNTRIES)) for i in range(1, 21)],
        )
        titles = [f"{thing}, {colour}" for thing in THINGS for colour in COLOURS]
        database.executemany(
            "INSERT INTO products VALUES (?, ?, ?, ?, ?)",
            [
                (i, title, chance.randrange(500, 9000), 10_000, chance.randrange(100, 3000))
                for i, title in enumerate(titles, start=1)
            ],
        )
        database.execute("UPDATE products SET stock = 3 WHERE id = 13")
        database.executemany(
            "INSERT INTO reviews (product_id, text) VALUES (?, ?)",
            [(1 + i % len(titles), chance.choice(OPINIONS)) for i in range(120)],
        )
        for order in range(1, 161):
            database.execute(
                "INSERT INTO orders VALUES (?, ?, ?)",
                (order, 1 + order % 20, chance.choice(("placed", "paid", "sent"))),
            )
            for product_id in chance.sample(range(1, len(titles) + 1), chance.randrange(1, 5)):
                database.execute(
                    "INSERT INTO items SELECT ?, id, ?, price FROM products WHERE id = ?",
                    (order, chance.randrange(1, 4), product_id),
                )


class Pool:
    """A few connections, lent one at a time to whoever asks."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._idle: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()

    async def __aenter__(self) -> Self:
        for _ in range(self._size):
            connection = await aiosqlite.connect(self._path, timeout=30)
            connection.row_factory = aiosqlite.Row
            await connection.execute("PRAGMA foreign_keys = ON")
            self._idle.put_nowait(connection)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for _ in range(self._size):
            connection = await self._idle.get()
            await connection.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """A connection; committed at the end, rolled back on an exception."""
        connection = await self._idle.get()
        try:
            yield connection
        except BaseException:
            await connection.rollback()
            raise
        else:
            await connection.commit()
        finally:
            self._idle.put_nowait(connection)

"""FastAPI, and one SQLite query for each request."""

from __future__ import annotations

import os
import sqlite3

from fastapi import FastAPI

ROWS = 1000

app = FastAPI()
connection = sqlite3.connect(os.environ["BENCH_SQLITE"], check_same_thread=False)
connection.execute("create table if not exists items (id integer primary key, name text)")
connection.executemany(
    "insert or replace into items values (?, ?)", [(i, f"item {i}") for i in range(ROWS)]
)
connection.commit()


@app.get("/items/{number}")
async def item(number: int) -> dict[str, object]:
    cursor = connection.cursor()
    cursor.execute("select id, name from items where id = ?", (number,))
    found = cursor.fetchone()
    return {"id": found[0], "name": found[1]}

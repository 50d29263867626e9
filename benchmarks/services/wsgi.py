"""Flask, and one SQLite query for each request."""

from __future__ import annotations

import os
import sqlite3

from flask import Flask

app = Flask(__name__)
connection = sqlite3.connect(os.environ["BENCH_SQLITE"], check_same_thread=False)


@app.get("/items/<int:number>")
def item(number: int) -> dict[str, object]:
    cursor = connection.cursor()
    cursor.execute("select ?, 'item'", (number,))
    found = cursor.fetchone()
    return {"id": found[0], "name": found[1]}

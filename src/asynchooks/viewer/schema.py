"""The tables of the store, as an ordered list of steps that are never edited after a release."""

from __future__ import annotations

import sqlite3

__all__ = ("migrate",)

M001_INITIAL = """
CREATE TABLE process (
    id INTEGER PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,
    service TEXT NOT NULL,
    attributes TEXT NOT NULL,
    dropped INTEGER NOT NULL
);
CREATE TABLE span (
    trace_id BLOB NOT NULL,
    span_id BLOB NOT NULL,
    parent_id BLOB,
    process INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind INTEGER NOT NULL,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL,
    status INTEGER NOT NULL,
    message TEXT NOT NULL,
    is_query INTEGER NOT NULL,
    is_call INTEGER NOT NULL,
    logs INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    events TEXT NOT NULL,
    links TEXT NOT NULL,
    PRIMARY KEY (trace_id, span_id)
) WITHOUT ROWID;
CREATE TABLE request (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id BLOB NOT NULL,
    span_id BLOB NOT NULL,
    process INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    path TEXT NOT NULL,
    user TEXT NOT NULL,
    status INTEGER,
    start INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    spans INTEGER NOT NULL,
    queries INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    logs INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    error INTEGER NOT NULL,
    UNIQUE (trace_id, span_id)
);
CREATE INDEX request_start ON request (start);
"""

M002_LOG_LINES = """
CREATE TABLE log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id BLOB NOT NULL,
    span_id BLOB NOT NULL,
    process INTEGER NOT NULL,
    time INTEGER NOT NULL,
    message TEXT NOT NULL,
    severity TEXT NOT NULL,
    logger TEXT NOT NULL,
    attributes TEXT NOT NULL,
    UNIQUE (trace_id, span_id, time, message)
);
"""

MIGRATIONS = (M001_INITIAL, M002_LOG_LINES)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a store of any earlier version, or an empty file, to this one.

    Raises:
        sqlite3.DatabaseError: it is of a later version, or somebody else's database.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version > len(MIGRATIONS):
        raise sqlite3.DatabaseError("a newer asynchooks has made it")
    if version == 0 and tables:
        raise sqlite3.DatabaseError("it is a database, but none of asynchooks")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        connection.executescript(f"BEGIN;{script}PRAGMA user_version = {number};COMMIT;")

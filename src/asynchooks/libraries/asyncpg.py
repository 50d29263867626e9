"""asyncpg: queries of connections and prepared statements, cursors, and waiting for the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import unrecorded
from asynchooks.libraries.database import query_spans
from asynchooks.libraries.drivers import Calls, trace_calls
from asynchooks.libraries.pools import waiting

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "asyncpg"
MODULE = "asyncpg"
SUPPORTED = ("0.27", "1")

_CONNECTION = ("execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany")
_STATEMENT = ("executemany", "fetch", "fetchrow", "fetchval", "fetchmany")
_CURSOR = ("_bind_exec", "_exec")


def install(patches: Patches, module: ModuleType) -> None:
    from asyncpg import cursor, pool, prepared_stmt  # the application has imported asyncpg

    trace_calls(
        patches,
        (
            Calls(
                module.Connection,
                _CONNECTION,
                query_spans("postgresql", _read_call, _locate),
                parameters=lambda connection, query, *args, **kwargs: args,
            ),
            Calls(
                prepared_stmt.PreparedStatement,
                _STATEMENT,
                query_spans("postgresql", _read_statement),
                parameters=lambda statement, *args, **kwargs: args,
            ),
            Calls(
                cursor.BaseCursor,
                _CURSOR,
                query_spans("postgresql", _read_statement),
                parameters=lambda cursor, *args, **kwargs: cursor._args,
            ),
        ),
        lambda exc: getattr(exc, "sqlstate", None),
    )
    patches.wrap(pool.Pool, "_acquire", waiting)
    # What it asks then, to have the connection as it was, and the task that does so, are its own.
    patches.wrap(pool.Pool, "release", unrecorded)


def _read_call(
    connection: Any, query: Any, *args: Any, **kwargs: Any
) -> tuple[str, str, str, int | None] | None:
    """Of a method of a connection: what it asks, and where."""
    return (query, *_locate(connection)) if isinstance(query, str) else None


def _locate(connection: Any) -> tuple[str, str, int | None]:
    address = connection._addr  # of a Unix socket, its path
    host, port = address if isinstance(address, tuple) else (address, None)
    return connection._params.database or "", host, port


def _read_statement(
    statement: Any, *args: Any, **kwargs: Any
) -> tuple[str, str, str, int | None] | None:
    """The same, of a prepared statement or a cursor."""
    return _read_call(statement._connection, statement._query)

"""asyncpg: queries of connections and prepared statements, cursors, and waiting for the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import unrecorded
from asynchooks.libraries.database import query_span
from asynchooks.libraries.drivers import Calls, trace_calls
from asynchooks.libraries.pools import waiting

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

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
                _begin_on_connection,
                parameters=lambda connection, query, *args, **kwargs: args,
            ),
            Calls(
                prepared_stmt.PreparedStatement,
                _STATEMENT,
                _begin_on_statement,
                parameters=lambda statement, *args, **kwargs: args,
            ),
            Calls(
                cursor.BaseCursor,
                _CURSOR,
                _begin_on_statement,
                parameters=lambda cursor, *args, **kwargs: cursor._args,
            ),
        ),
        lambda exc: getattr(exc, "sqlstate", None),
    )
    patches.wrap(pool.Pool, "_acquire", waiting)
    # What it asks then, to have the connection as it was, and the task that does so, are its own.
    patches.wrap(pool.Pool, "release", unrecorded)


def _begin_on_connection(
    connection: Any, query: Any, args: Any = (), *rest: Any, **kwargs: Any
) -> Span | None:
    return _begin(connection, query)


def _begin_on_statement(statement: Any, *args: Any, **kwargs: Any) -> Span | None:
    return _begin(statement._connection, statement._query)


def _begin(connection: Any, query: Any) -> Span | None:
    if not isinstance(query, str):
        return None
    address = getattr(connection, "_addr", None)
    host, port = address if isinstance(address, tuple) else (address or "", None)
    parameters = getattr(connection, "_params", None)
    return query_span(
        "postgresql",
        query,
        namespace=str(getattr(parameters, "database", "") or ""),
        address=str(host),
        port=port,
    )

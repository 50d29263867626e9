"""asyncpg: queries of connections and prepared statements, cursors, and waiting for the pool."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded, traced
from asynchooks.libraries.database import query_span
from asynchooks.tracing import current_span, start_span

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
# A pool that has a connection free is not worth a span. In ns.
_WORTH_A_SPAN = 1_000_000


def install(patches: Patches, module: ModuleType) -> None:
    from asyncpg import cursor, pool, prepared_stmt  # the application has imported asyncpg

    for owner, methods, begin in (
        (module.Connection, _CONNECTION, _begin_on_connection),
        (prepared_stmt.PreparedStatement, _STATEMENT, _begin_on_statement),
        (cursor.BaseCursor, _CURSOR, _begin_on_statement),
    ):
        for method in methods:
            if hasattr(owner, method):
                patches.wrap(owner, method, traced(begin))
    patches.wrap(pool.Pool, "_acquire", _make_acquire)


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


def _make_acquire(original: Any) -> Any:
    @functools.wraps(original)
    async def _acquire(*args: Any, **kwargs: Any) -> Any:
        parent = current_span()
        if parent is None:
            return await original(*args, **kwargs)
        started = time.time_ns()
        try:
            return await original(*args, **kwargs)
        finally:
            guarded(original, _record_wait, parent, started)

    return _acquire


def _record_wait(parent: Span, started: int) -> None:
    if time.time_ns() - started >= _WORTH_A_SPAN:
        span = start_span("wait for a pooled connection", parent=parent, start_time=started)
        span.set_attribute("asynchooks.kind", "pool")
        span.end()

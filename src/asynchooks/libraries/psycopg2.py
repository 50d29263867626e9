"""psycopg2: what cursors execute, call and copy. What a named cursor fetches later is no span.

The types are C's, so the methods are replaced in the types themselves (`Patches`). Cursors of
`psycopg2.extras` call those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.database import query_span
from asynchooks.libraries.drivers import Calls, batch_size, trace_calls
from asynchooks.libraries.parameters import second_argument
from asynchooks.libraries.postgres import query_text

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

NAME = "psycopg2"
MODULE = "psycopg2"
SUPPORTED = ("2.9.5", "3")


def install(patches: Patches, module: ModuleType) -> None:
    from psycopg2 import extensions, sql  # the application has imported psycopg2

    def begin(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Span | None:
        return _begin(cursor, query_text(sql, query, cursor))

    def begin_many(cursor: Any, query: Any, vars_list: Any) -> Span | None:
        return _begin(cursor, query_text(sql, query, cursor), batch_size(vars_list))

    trace_calls(
        patches,
        (
            Calls(extensions.cursor, ("execute",), begin, parameters=second_argument),
            Calls(extensions.cursor, ("executemany",), begin_many),
            Calls(extensions.cursor, ("callproc",), _begin_call, parameters=second_argument),
            Calls(extensions.cursor, ("copy_expert",), begin),
            Calls(extensions.cursor, ("copy_from",), _begin_copy("FROM STDIN")),
            Calls(extensions.cursor, ("copy_to",), _begin_copy("TO STDOUT")),
        ),
        lambda exc: getattr(exc, "pgcode", None),
    )


def _begin_call(cursor: Any, procname: str, *args: Any) -> Span | None:
    return _begin(cursor, f"CALL {procname}")


def _begin_copy(direction: str) -> Any:
    def begin(cursor: Any, file: Any, table: str, *args: Any, **kwargs: Any) -> Span | None:
        return _begin(cursor, f"COPY {table} {direction}")

    return begin


def _begin(cursor: Any, text: str, batch_size: int | None = None) -> Span | None:
    if not text:
        return None
    connection = cursor.connection
    if connection.closed:
        return query_span("postgresql", text, batch_size=batch_size)
    info = connection.info
    return query_span(
        "postgresql",
        text,
        namespace=info.dbname or "",
        address=info.host or "",
        port=info.port,
        batch_size=batch_size,
    )

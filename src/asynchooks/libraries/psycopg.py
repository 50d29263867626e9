"""psycopg 3: what cursors execute, stream, copy and fetch from the server, and ends of pipelines.

Both kinds of cursors, sync and async, send and receive in generators that they share: a span lasts
as long as such a generator. Only `executemany` is a span as a whole: it uses a pipeline of its own,
whose end tells what has failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.database import command_span, query_span
from asynchooks.libraries.drivers import Calls, batch_size, trace_calls
from asynchooks.libraries.parameters import second_argument
from asynchooks.libraries.postgres import query_text

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

NAME = "psycopg"
MODULE = "psycopg"
SUPPORTED = ("3.1.4", "4")


def install(patches: Patches, module: ModuleType) -> None:
    from psycopg import sql  # the application has imported psycopg

    # Where these are defined differs between versions.
    cursor = _owner_of("_execute_gen", module.Cursor)
    server_cursor = _owner_of("_declare_gen", module.ServerCursor)
    pipeline = _owner_of("_sync_gen", module.Pipeline)

    def begin(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Span | None:
        return _begin(cursor, query_text(sql, query, cursor))

    def begin_many(cursor: Any, query: Any, params_seq: Any, **kwargs: Any) -> Span | None:
        return _begin(cursor, query_text(sql, query, cursor), batch_size(params_seq))

    trace_calls(
        patches,
        (
            Calls(
                cursor,
                ("_execute_gen", "_stream_send_gen", "_start_copy_gen"),
                begin,
                parameters=second_argument,
            ),
            Calls(server_cursor, ("_declare_gen",), begin, parameters=second_argument),
            Calls(server_cursor, ("_fetch_gen",), _begin_fetch),
            Calls(module.Cursor, ("executemany",), begin_many, is_whole=True),
            Calls(module.AsyncCursor, ("executemany",), begin_many, is_whole=True),
            Calls(pipeline, ("_sync_gen", "_exit_gen"), _begin_sync),
        ),
        lambda exc: getattr(exc, "sqlstate", None),
    )


def _owner_of(name: str, cls: type) -> type:
    return next(owner for owner in cls.__mro__ if name in vars(owner))


def _begin_fetch(cursor: Any, num: int | None) -> Span | None:
    return _begin(cursor, f'FETCH FORWARD {"ALL" if num is None else "?"} FROM "{cursor.name}"')


def _begin_sync(pipeline: Any) -> Span | None:
    if not pipeline.command_queue and not pipeline.result_queue:
        return None
    return command_span("postgresql", "SYNC", **_address(pipeline._conn))


def _begin(cursor: Any, text: str, batch_size: int | None = None) -> Span | None:
    if not text:
        return None
    return query_span("postgresql", text, batch_size=batch_size, **_address(cursor._conn))


def _address(connection: Any) -> dict[str, Any]:
    if connection.closed:
        return {}
    info = connection.info
    return {"namespace": info.dbname, "address": info.host, "port": info.port}

"""What PyMySQL, aiomysql and asyncmy have in common: the cursors of PyMySQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.database import query_span
from asynchooks.libraries.drivers import Calls, batch_size, read_text, trace_calls
from asynchooks.libraries.parameters import second_argument

if TYPE_CHECKING:
    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

__all__ = ("trace_cursors",)


def trace_cursors(patches: Patches, cursor: type) -> None:
    """Trace what cursors execute and call. `executemany` is one span, also where it executes a
    statement for each set of parameters."""
    trace_calls(
        patches,
        (
            Calls(cursor, ("execute",), _begin_execute, parameters=second_argument),
            Calls(cursor, ("executemany",), _begin_many, is_whole=True),
            Calls(cursor, ("callproc",), _begin_call, parameters=second_argument),
        ),
        _errno,
    )


def _begin_execute(cursor: Any, query: Any, args: Any = None) -> Span | None:
    return _begin(cursor, read_text(query))


def _begin_many(cursor: Any, query: Any, args: Any) -> Span | None:
    return _begin(cursor, read_text(query), batch_size(args)) if args else None


def _begin_call(cursor: Any, procname: str, args: Any = ()) -> Span | None:
    return _begin(cursor, f"CALL {procname}")


def _begin(cursor: Any, text: str, batch_size: int | None = None) -> Span | None:
    connection = cursor.connection
    if not text or connection is None:
        return None
    return query_span(
        _system(connection),
        text,
        namespace=read_text(_attribute(connection, "db")),
        address=read_text(_attribute(connection, "host")),
        port=_attribute(connection, "port"),
        batch_size=batch_size,
    )


def _system(connection: Any) -> str:
    return "mariadb" if "mariadb" in str(connection.get_server_info()).lower() else "mysql"


def _attribute(connection: Any, name: str) -> Any:
    return getattr(connection, name, None) or getattr(connection, f"_{name}", None)


def _errno(exc: BaseException) -> object:
    code = exc.args[0] if exc.args else None
    return code if isinstance(code, int) else None

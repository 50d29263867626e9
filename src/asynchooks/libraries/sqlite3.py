"""sqlite3: every statement, also through cursors and connections that exist already.

The types are immutable, so the methods are replaced in the types themselves (`Patches`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.database import query_span
from asynchooks.libraries.drivers import Calls, trace_calls
from asynchooks.libraries.parameters import second_argument

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

NAME = "sqlite3"
MODULE = "sqlite3"
SUPPORTED = None

# Connection's first two make a cursor in C and do not come by Cursor's methods; its executescript
# does.
_CURSOR = ("execute", "executemany", "executescript")
_CONNECTION = ("execute", "executemany")


def install(patches: Patches, module: ModuleType) -> None:
    trace_calls(
        patches,
        (
            Calls(module.Cursor, _CURSOR, _begin, parameters=second_argument),
            Calls(module.Connection, _CONNECTION, _begin, parameters=second_argument),
        ),
        lambda exc: getattr(exc, "sqlite_errorcode", None),
    )


def _begin(connection: object, *args: Any, **kwargs: Any) -> Span | None:
    text = args[0] if args else None
    return query_span("sqlite", text) if isinstance(text, str) else None

"""sqlite3: every statement, also through cursors and connections that exist already.

The types are immutable, so the methods are replaced in the types themselves (`Patches`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import traced
from asynchooks.libraries.database import query_span

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
    for owner, methods in ((module.Cursor, _CURSOR), (module.Connection, _CONNECTION)):
        for method in methods:
            patches.wrap(owner, method, traced(_begin))


def _begin(connection: object, *args: Any, **kwargs: Any) -> Span | None:
    text = args[0] if args else None
    return query_span("sqlite", text) if isinstance(text, str) else None

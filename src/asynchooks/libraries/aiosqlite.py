"""aiosqlite: a connection has a thread of its own, to which every call is handed.

The span is made where the application awaits, which is the line that caused the query; sqlite3's
own span in the thread is suppressed. Context there is the business of `integrations/aiosqlite.py`.
"""

from __future__ import annotations

import contextvars
import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import fail, guarded, step_out
from asynchooks.libraries.database import query_span
from asynchooks.libraries.parameters import capturing
from asynchooks.tracing import suppress_tracing

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

NAME = "aiosqlite"
MODULE = "aiosqlite"
SUPPORTED = ("0.17", "1")

_QUERIES = frozenset(
    ("execute", "executemany", "executescript", "_execute_insert", "_execute_fetchall")
)


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.Connection, "_execute", _make_execute)


def _make_execute(original: Any) -> Any:
    begin = capturing(_begin, _parameters)

    @functools.wraps(original)
    async def _execute(self: Any, fn: Any, *args: Any, **kwargs: Any) -> Any:
        span = guarded(original, begin, fn, args)
        context = contextvars.copy_context()
        if span is not None:
            context.run(suppress_tracing().__enter__)
        try:
            result = await original(self, context.run, fn, *args, **kwargs)
        except BaseException as exc:
            step_out(exc)
            fail(span, exc)
            raise
        if span is not None:
            span.end()
        return result

    return _execute


def _begin(fn: Any, args: tuple[Any, ...]) -> Span | None:
    if getattr(fn, "__name__", "") not in _QUERIES or not args or not isinstance(args[0], str):
        return None
    return query_span("sqlite", args[0])


def _parameters(fn: Any, args: tuple[Any, ...]) -> object:
    return args[1] if len(args) > 1 and fn.__name__ != "executemany" else None

"""SQLAlchemy: every statement that a connection executes, and waiting for its pool.

The span is made here for every driver, also one that asynchooks does not know; what the driver does
for it is no span of its own. It says what SQLAlchemy knows and a driver does not: the ORM's classes
that the statement is about.

Under asyncio, SQLAlchemy runs in a greenlet, whose stack ends where it began. The span is started
outside of it, by a coroutine that is awaited as a driver's would be, where the line of the user's
code is to be seen that awaits SQLAlchemy.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.database import query_span
from asynchooks.libraries.drivers import Calls, trace_calls
from asynchooks.libraries.pools import waiting

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

NAME = "sqlalchemy"
MODULE = "sqlalchemy"
SUPPORTED = ("2.0", "3")

# SQLAlchemy's names of dialects, where OpenTelemetry's are others.
_SYSTEMS = {"mssql": "microsoft.sql_server", "oracle": "oracle.db"}

# By compiled statement, which the engine keeps: the names of the classes that it is about.
_entities: weakref.WeakKeyDictionary[Any, tuple[str, ...]] = weakref.WeakKeyDictionary()


def install(patches: Patches, module: ModuleType) -> None:
    from sqlalchemy import util

    def begin(connection: Any, dialect: Any, context: Any, *args: Any) -> Span | None:
        if dialect.is_async and _is_in_greenlet():
            span: Span | None = util.await_only(_begin_outside(connection, context))
            return span
        return _begin(connection, context)

    connection = module.engine.Connection
    methods = ("_exec_single_context", "_exec_insertmany_context")
    calls = Calls(connection, methods, begin, is_whole=True, parameters=_parameters)
    trace_calls(patches, (calls,), _status)
    patches.wrap(module.pool.QueuePool, "_do_get", waiting)


def _is_in_greenlet() -> bool:
    import greenlet  # SQLAlchemy's asyncio has imported it

    return type(greenlet.getcurrent()).__name__ == "_AsyncIoGreenlet"


async def _begin_outside(connection: Any, context: Any) -> Span | None:
    return _begin(connection, context)


def _begin(connection: Any, context: Any) -> Span | None:
    url = connection.engine.url
    name = connection.dialect.name
    span = query_span(
        _SYSTEMS.get(name, name),
        context.statement,
        namespace=url.database or "",
        address=url.host or "",
        port=url.port,
        batch_size=len(context.parameters) if context.executemany else None,
    )
    if span is not None:
        entities = _entities_of(context)
        if entities:
            span.set_attribute("asynchooks.db.entities", entities)
    return span


def _parameters(connection: Any, dialect: Any, context: Any, *args: Any) -> object:
    return None if context.executemany else context.parameters[0]


def _entities_of(context: Any) -> tuple[str, ...]:
    compiled = context.compiled
    if compiled is None:
        return ()
    entities = _entities.get(compiled)
    if entities is None:
        entities = _entities[compiled] = _find_entities(context.invoked_statement)
    return entities


def _find_entities(statement: Any) -> tuple[str, ...]:
    described = getattr(statement, "column_descriptions", None)  # of a SELECT
    if described is None:
        described = [getattr(statement, "entity_description", {})]
    found = dict.fromkeys(row.get("entity") for row in described)
    # An alias of a class is no class.
    return tuple(entity.__name__ for entity in found if isinstance(entity, type))


def _status(exc: Any) -> object:
    """The code that the driver's own exception has, whichever driver it is."""
    original = getattr(exc, "orig", None)
    for name in ("sqlstate", "pgcode", "sqlite_errorcode"):
        code: object = getattr(original, name, None)
        if code is not None:
            return code
    arguments = getattr(original, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None

"""PyMongo: every command, each batch of a cursor included, and waiting for the pool.

PyMongo tells its listeners of every command, where one is registered. What tells them is followed
here, for every client, and no listener shows.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded
from asynchooks.libraries.database import command_span
from asynchooks.libraries.pools import waiting
from asynchooks.tracing import StatusCode, recording_span

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

NAME = "pymongo"
MODULE = "pymongo"
SUPPORTED = ("4.3.2", "5")

# The fields of a command in which it carries what it writes.
_BATCHES = ("documents", "updates", "deletes")

# The commands that run, by the number of their message. It is a random one of 32 bits.
_running: dict[int, Span] = {}


def install(patches: Patches, module: ModuleType) -> None:
    listeners = module.monitoring._EventListeners
    patches.wrap(listeners, "enabled_for_commands", _make_enabled)
    patches.wrap(listeners, "publish_command_start", _followed_by(_start))
    patches.wrap(listeners, "publish_command_success", _followed_by(_ending(_record_success)))
    patches.wrap(listeners, "publish_command_failure", _followed_by(_ending(_record_failure)))
    for pool in _pools():
        # _get_socket until 4.4.
        for name in ("_get_conn", "_get_socket"):
            if hasattr(pool, name):
                patches.wrap(pool, name, waiting)


def _pools() -> list[Any]:
    try:
        from pymongo.asynchronous.pool import Pool as AsyncPool
        from pymongo.synchronous.pool import Pool
    except ImportError:  # until 4.8, when there was one kind of client
        from pymongo.pool import Pool

        return [Pool]
    return [Pool, AsyncPool]


def _make_enabled(original: property) -> property:
    read: Any = original.fget
    return property(lambda listeners: read(listeners) or recording_span() is not None)


def _followed_by(follow: Callable[..., None]) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def publish(*args: Any, **kwargs: Any) -> None:
            guarded(original, follow, *args, **kwargs)
            original(*args, **kwargs)

        return publish

    return make


def _start(
    listeners: object,
    command: Any,
    database_name: str,
    request_id: int,
    connection_id: tuple[str, int | None],
    *args: Any,
    **kwargs: Any,
) -> None:
    name = next(iter(command))
    target = command.get("collection") if name == "getMore" else command[name]
    span = command_span(
        "mongodb",
        name,
        collection=target if isinstance(target, str) else "",
        namespace=database_name,
        address=connection_id[0],
        port=connection_id[1],
        batch_size=next((len(command[field]) for field in _BATCHES if field in command), None),
    )
    if span is not None:
        _running[request_id] = span


def _ending(record: Callable[[Span, Any], None]) -> Callable[..., None]:
    """End the span of a command, of which the server's answer tells `record`."""

    def end(
        listeners: object,
        duration: object,
        answer: Any,
        command_name: str,
        request_id: int,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        span = _running.pop(request_id, None)
        if span is not None:
            record(span, answer if isinstance(answer, dict) else {})
            span.end()

    return end


def _record_success(span: Span, answer: dict[str, Any]) -> None:
    # A command that went well, but not all of what it was to write: PyMongo raises this later.
    errors = answer.get("writeErrors")
    if errors:
        code = str(errors[0].get("code"))
        span.set_attribute("db.response.status_code", code)
        span.set_attribute("error.type", code)
        span.set_status(StatusCode.ERROR)


def _record_failure(span: Span, answer: dict[str, Any]) -> None:
    exc = sys.exception()
    if exc is not None:
        span.record_exception(exc)
    else:
        span.set_status(StatusCode.ERROR)
    code = answer.get("code")
    if code is not None:
        span.set_attribute("db.response.status_code", str(code))

"""hypercorn: each request starts in the context that the application's start-up left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.integrations.lifespans import base_of, noting_the_start
from asynchooks.integrations.wrapping import in_context

if TYPE_CHECKING:
    import contextvars

    from asynchooks.integrations.wrapping import Wrap


def _base(group: object, function: object, *args: Any) -> contextvars.Context | None:
    # The application is spawned with its configuration, other things without.
    return base_of(args[1]) if len(args) > 1 else None


PATCHES: dict[str, Wrap] = {
    "hypercorn.asyncio.lifespan:Lifespan.asgi_send": noting_the_start,
    "hypercorn.asyncio.task_group:TaskGroup.spawn": in_context(_base),
}

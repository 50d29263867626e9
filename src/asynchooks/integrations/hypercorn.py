"""hypercorn: each request starts in the context that the application's start-up left."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.integrations.lifespans import base_of, noting_the_start

if TYPE_CHECKING:
    from collections.abc import Callable


def _from_the_base(original: Any) -> Any:
    @functools.wraps(original)
    def spawn(self: Any, func: Any, *args: Any) -> None:
        # The application is spawned with its configuration, other things without.
        base = base_of(args[1]) if len(args) > 1 else None
        if base is None:
            original(self, func, *args)
        else:
            base.run(original, self, func, *args)

    return spawn


PATCHES: dict[str, Callable[[Any], Any]] = {
    "hypercorn.asyncio.lifespan:Lifespan.asgi_send": noting_the_start,
    "hypercorn.asyncio.task_group:TaskGroup.spawn": _from_the_base,
}

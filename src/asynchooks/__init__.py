"""asynchooks: Node's async_hooks and AsyncLocalStorage for Python, and request tracing on top.

General layout: `hooks`, `resources` and `storage` are the API over the C core `_native`; `loops`
and `boundaries` connect it to the running program; `tracing` and `libraries` make requests, spans
and log lines of what it sees; `engine` switches all of that on and off. `viewer` and `cli` are the
tools around it. Importing this package changes nothing; `enable()` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks._native import KINDS
from asynchooks.context.isolation import isolated
from asynchooks.context.messages import each
from asynchooks.context.neutral import detached
from asynchooks.context.single_flight import shared
from asynchooks.context.snapshots import Snapshot, bind, snapshot
from asynchooks.engine import disable, enable, is_enabled
from asynchooks.hooks import (
    AsyncHook,
    create_hook,
    execution_async_id,
    execution_async_resource,
    trigger_async_id,
)
from asynchooks.links import link
from asynchooks.resources import AsyncResource
from asynchooks.storage import AsyncLocalStorage

# isort: split
# Last: `asynchooks.resources` is this function, not the module of that name, which is imported now.
from asynchooks.holders import Holder, held
from asynchooks.inspection import ResourceInfo, Stats, Tree, async_id, resources, stats, tree
from asynchooks.sites import Site

if TYPE_CHECKING:
    from asynchooks.diagnosis import watch
    from asynchooks.tracing import Request, current_request

__all__ = (
    "KINDS",
    "AsyncHook",
    "AsyncLocalStorage",
    "AsyncResource",
    "Holder",
    "Request",
    "ResourceInfo",
    "Site",
    "Snapshot",
    "Stats",
    "Tree",
    "async_id",
    "bind",
    "create_hook",
    "current_request",
    "detached",
    "disable",
    "each",
    "enable",
    "execution_async_id",
    "execution_async_resource",
    "held",
    "is_enabled",
    "isolated",
    "link",
    "resources",
    "shared",
    "snapshot",
    "stats",
    "tree",
    "trigger_async_id",
    "watch",
)

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Tracing is imported when it is asked for: most programs that import us do not need it.
    if name in ("Request", "current_request"):
        from asynchooks import tracing

        return getattr(tracing, name)
    if name == "watch":
        from asynchooks.diagnosis import watch

        return watch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""`multiprocessing.pool`: jobs of a `ThreadPool` run in their submitter's context, and the stores
of portable storages travel with those of a `Pool`. Callbacks run in the context of whoever gave
them.

All of `apply`, `map`, `starmap` and their like go through four methods. The pool's own threads and
processes are nobody's.
"""

from __future__ import annotations

import contextvars
from functools import partial
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks._binding import bind_argument
from asynchooks._detached import call_outermost
from asynchooks.context import carriers

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

__all__ = ("DOES", "NAME", "install")

NAME = "multiprocessing_pools"
DOES = "jobs and callbacks of multiprocessing.pool have their submitter's context"

# At which places each is given its callbacks, the pool being the first argument.
_METHODS = {"apply_async": (4, 5), "_map_async": (5, 6), "imap": (), "imap_unordered": ()}


def install(patches: Patches) -> None:
    """Wrap what a pool is given its jobs by."""

    def patch(module: ModuleType) -> None:
        pool = module.Pool
        patches.wrap(
            pool,
            "__init__",
            partial(_native.Wrapper, action="through", helper=call_outermost),
        )
        for name, places in _METHODS.items():
            helper = partial(_bind, module.ThreadPool, places)
            patches.wrap(pool, name, partial(_native.Wrapper, action="arguments", helper=helper))

    patches.when_imported("multiprocessing.pool", patch)


def _bind(
    thread_pool: type, places: tuple[int, ...], /, *args: Any, **kwargs: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    context = contextvars.copy_context()
    if args and isinstance(args[0], thread_pool):
        args, kwargs = bind_argument(args, kwargs, 1, "func", context, "job")
    elif len(args) > 1:
        args = (args[0], carriers.enclose(args[1]), *args[2:])
    elif "func" in kwargs:
        kwargs = {**kwargs, "func": carriers.enclose(kwargs["func"])}
    for place, name in zip(places, ("callback", "error_callback"), strict=False):
        args, kwargs = bind_argument(args, kwargs, place, name, context)
    return args, kwargs

"""`sched.scheduler`: each event runs in the context in which it was entered, whichever thread runs
the scheduler."""

from __future__ import annotations

import contextvars
from functools import partial
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks._binding import bind_argument

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

__all__ = ("DOES", "NAME", "install")

NAME = "sched"
DOES = "events of sched.scheduler run in the context in which they were entered"


def install(patches: Patches) -> None:
    """Wrap `scheduler.enterabs`, which `enter` goes through."""

    def patch(module: ModuleType) -> None:
        patches.wrap(
            module.scheduler,
            "enterabs",
            partial(_native.Wrapper, action="arguments", helper=_bind),
        )

    patches.when_imported("sched", patch)


def _bind(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return bind_argument(args, kwargs, 3, "action", contextvars.copy_context())

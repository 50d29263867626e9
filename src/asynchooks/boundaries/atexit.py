"""`atexit`: each function runs in the context in which it was registered."""

from __future__ import annotations

import atexit
import contextvars
from functools import partial
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks._binding import bind_to

if TYPE_CHECKING:
    from asynchooks._patching import Patches

__all__ = ("DOES", "NAME", "install")

NAME = "atexit"
DOES = "functions of atexit run in the context in which they were registered"


def install(patches: Patches) -> None:
    """Wrap `atexit.register`. `unregister` compares, and what is bound equals the function."""
    patches.wrap(atexit, "register", partial(_native.Wrapper, action="through", helper=_register))


def _register(register: Any, /, *args: Any, **kwargs: Any) -> Any:
    if not args:
        return register(**kwargs)
    register(bind_to(contextvars.copy_context(), args[0]), *args[1:], **kwargs)
    return args[0]

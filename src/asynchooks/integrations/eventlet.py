"""eventlet: a green thread runs in the context of whoever spawned it, as a task does; so does what
is given to its thread pool. The hub, which is nobody's, keeps a context of its own.
"""

from __future__ import annotations

import contextvars
import functools
from typing import TYPE_CHECKING, Any

from asynchooks.integrations.contexts import binding_its_function

if TYPE_CHECKING:
    from collections.abc import Callable


def _making(original: Any) -> Any:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any) -> None:
        original(self, *args)
        self.gr_context = contextvars.copy_context()

    return __init__


PATCHES: dict[str, Callable[[Any], Any]] = {
    "eventlet.greenthread:GreenThread.__init__": _making,
    "eventlet.greenthread:_spawn_n": binding_its_function(1),
    "eventlet.tpool:execute": binding_its_function(0),
}

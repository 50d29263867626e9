"""aiosqlite: what a connection's thread calls back (SQL functions, trace callbacks, a progress
handler) has the context of whoever awaits. The thread itself belongs to nobody.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks._detached import call_detached
from asynchooks.integrations.contexts import binding_its_function

if TYPE_CHECKING:
    from collections.abc import Callable


def _detaching(original: Any) -> Any:
    @functools.wraps(original)
    def __await__(self: Any) -> Any:
        # Starts the thread and returns an iterator, which runs in the awaiting task's context.
        return call_detached(original, self)

    return __await__


PATCHES: dict[str, Callable[[Any], Any]] = {
    "aiosqlite:Connection._execute": binding_its_function(1),
    "aiosqlite:Connection.__await__": _detaching,
}

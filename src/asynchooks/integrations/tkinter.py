"""tkinter: what `after` and `after_idle` call runs in the context in which it was registered, as
what `loop.call_later` calls.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.storage import AsyncLocalStorage

if TYPE_CHECKING:
    from collections.abc import Callable


def _binding(original: Any) -> Any:
    @functools.wraps(original)
    def after(self: Any, ms: Any, func: Any = None, *args: Any) -> Any:
        # With the function's name, which the command in Tcl is called by.
        return original(self, ms, AsyncLocalStorage.bind(func) if callable(func) else func, *args)

    return after


PATCHES: dict[str, Callable[[Any], Any]] = {
    "tkinter:Misc.after": _binding,
}

"""anyio: portable stores travel with what `to_process.run_sync` sends to a process."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks import _portable
from asynchooks._patching import step_out

if TYPE_CHECKING:
    from collections.abc import Callable


def _enclosing(original: Any) -> Any:
    @functools.wraps(original)
    async def run_sync(func: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await original(_portable.enclose(func), *args, **kwargs)
        except BaseException as exc:
            step_out(exc)
            raise

    return run_sync


PATCHES: dict[str, Callable[[Any], Any]] = {
    "anyio.to_process:run_sync": _enclosing,
}

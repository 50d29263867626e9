"""Where the requests of an ASGI server start: in the context that the application's start-up left.
The lifespan runs in a task of its own, so that nobody else sees what it sets.
"""

from __future__ import annotations

import contextvars
import functools
from typing import Any

from asynchooks._patching import step_out
from asynchooks.integrations.beside import Beside

__all__ = ("base_of", "note_base", "noting_the_start")

# Of each server, by its configuration, which its lifespan and its connections know.
_bases: Beside[contextvars.Context] = Beside()


def note_base(config: object) -> None:
    """Requests start here."""
    _bases.put(config, contextvars.copy_context())


def base_of(config: object) -> contextvars.Context | None:
    """A context for one request; None where the server has started before us."""
    base = _bases.get(config)
    return None if base is None else base.copy()


def noting_the_start(original: Any) -> Any:
    """Wrap the lifespan's method `send`."""

    @functools.wraps(original)
    async def send(self: Any, message: Any) -> None:
        if message["type"] == "lifespan.startup.complete":
            note_base(self.config)
        try:
            await original(self, message)
        except BaseException as exc:
            step_out(exc)
            raise

    return send

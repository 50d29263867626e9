"""Where the requests of an ASGI server start: in the context that the application's start-up left.
The lifespan runs in a task of its own, so that nobody else sees what it sets.
"""

from __future__ import annotations

import contextvars
from typing import Any

from asynchooks.integrations.beside import Beside
from asynchooks.integrations.wrapping import in_context_beside, with_arguments

__all__ = ("base_of", "in_the_base", "note_base", "noting_the_start")

# Of each server, by its configuration, which its lifespan and its connections know.
_bases: Beside[contextvars.Context] = Beside()


def note_base(config: object) -> None:
    """Requests start here."""
    _bases.put(config, contextvars.copy_context())


def base_of(config: object) -> contextvars.Context | None:
    """Where requests start; None where the server has started before us."""
    return _bases.get(config)


# Of a method that may start a request, of what has the configuration as its `config`.
in_the_base = in_context_beside("config", _bases)


def _note(lifespan: Any, message: Any) -> None:
    if message["type"] == "lifespan.startup.complete":
        note_base(lifespan.config)


# Of the lifespan's method `send`.
noting_the_start = with_arguments(_note)

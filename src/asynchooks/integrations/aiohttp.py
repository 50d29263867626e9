"""aiohttp: the timer that clears a client's pool belongs to no request, so that it holds nothing of
the one that happened to start it.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

from asynchooks.integrations.wrapping import in_context

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap


def _nobody(*args: Any, **kwargs: Any) -> contextvars.Context:
    return contextvars.Context()


PATCHES: dict[str, Wrap] = {"aiohttp.connector:BaseConnector._release": in_context(_nobody)}

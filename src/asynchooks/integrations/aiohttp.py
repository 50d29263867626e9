"""aiohttp: the timer that clears a client's pool belongs to no request, so that it holds nothing of
the one that happened to start it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.integrations.wrapping import in_no_context

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap


PATCHES: dict[str, Wrap] = {"aiohttp.connector:BaseConnector._release": in_no_context}

"""aiosqlite: what a connection's thread calls back (SQL functions, trace callbacks, a progress
handler) has the context of whoever awaits. The thread itself belongs to nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks._detached import call_detached
from asynchooks.integrations.wrapping import binding, through

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap

PATCHES: dict[str, Wrap] = {
    "aiosqlite:Connection._execute": binding(1),
    # Starts the thread and returns an iterator, which runs in the awaiting task's context.
    "aiosqlite:Connection.__await__": through(call_detached),
}

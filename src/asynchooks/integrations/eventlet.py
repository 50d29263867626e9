"""eventlet: a green thread runs in the context of whoever spawned it, as a task does; so does what
is given to its thread pool. The hub, which is nobody's, keeps a context of its own.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

from asynchooks.integrations.wrapping import binding, calling, in_no_context

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap


def _is_made(result: None, greenlet: Any, *args: Any) -> None:
    greenlet.gr_context = contextvars.copy_context()


PATCHES: dict[str, Wrap] = {
    "eventlet.greenthread:GreenThread.__init__": calling(_is_made),
    "eventlet.greenthread:_spawn_n": binding(1),
    "eventlet.tpool:execute": binding(0),
    "eventlet.hubs.hub:BaseHub.__init__": in_no_context,
    "eventlet.hubs.hub:BaseHub.ensure_greenlet": in_no_context,
}

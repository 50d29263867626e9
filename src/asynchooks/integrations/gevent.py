"""gevent: a greenlet runs in the context of whoever started it, as a task does; so does a job of
its thread pool. The hub, which is nobody's, keeps a context of its own.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

from asynchooks.integrations.wrapping import binding, in_no_context, with_arguments

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap


def _start(greenlet: Any, *args: Any) -> None:
    if greenlet.gr_context is None and not greenlet.dead:
        greenlet.gr_context = contextvars.copy_context()


PATCHES: dict[str, Wrap] = {
    "gevent.greenlet:Greenlet.start": with_arguments(_start),
    "gevent.greenlet:Greenlet.start_later": with_arguments(_start),
    "gevent.hub:Hub.__init__": in_no_context,
    "gevent.hub:spawn_raw": binding(0),
    "gevent:spawn_raw": binding(0),
    "gevent.threadpool:ThreadPool.spawn": binding(1),
}

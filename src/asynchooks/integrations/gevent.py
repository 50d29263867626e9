"""gevent: a greenlet runs in the context of whoever started it, as a task does; so does a job of
its thread pool. The hub, which is nobody's, keeps a context of its own.
"""

from __future__ import annotations

import contextvars
import functools
from typing import TYPE_CHECKING, Any

from asynchooks.integrations.contexts import binding_its_function

if TYPE_CHECKING:
    from collections.abc import Callable


def _starting(original: Any) -> Any:
    @functools.wraps(original)
    def start(self: Any, *args: Any) -> Any:
        if self.gr_context is None and not self:
            self.gr_context = contextvars.copy_context()
        return original(self, *args)

    return start


PATCHES: dict[str, Callable[[Any], Any]] = {
    "gevent.greenlet:Greenlet.start": _starting,
    "gevent.greenlet:Greenlet.start_later": _starting,
    "gevent.hub:spawn_raw": binding_its_function(0),
    "gevent:spawn_raw": binding_its_function(0),
    "gevent.threadpool:ThreadPool.spawn": binding_its_function(1),
}

"""joblib: what `Parallel` calls in threads runs in the context of whoever called it; what it sends
to processes has the portable stores of there.
"""

from __future__ import annotations

import contextvars
import functools
from typing import TYPE_CHECKING, Any

from asynchooks import _portable
from asynchooks.integrations.beside import Beside

if TYPE_CHECKING:
    from collections.abc import Callable

# Of each `Parallel` that was called, since later batches are sent by threads of its own.
_contexts: Beside[contextvars.Context] = Beside()


def _noting(original: Any) -> Any:
    @functools.wraps(original)
    def __call__(self: Any, iterable: Any) -> Any:
        _contexts.put(self, contextvars.copy_context())
        return original(self, iterable)

    return __call__


def _sending(original: Any) -> Any:
    @functools.wraps(original)
    def _dispatch(self: Any, batch: Any) -> Any:
        context = _contexts.get(self)
        if context is not None:
            bind = _bind if getattr(self._backend, "supports_sharedmem", False) else _enclose
            batch.items = [
                (bind(context, function), args, kwargs) for function, args, kwargs in batch.items
            ]
        return original(self, batch)

    return _dispatch


def _bind(context: contextvars.Context, function: Any) -> Any:
    return functools.partial(context.copy().run, function)


def _enclose(context: contextvars.Context, function: Any) -> Any:
    return context.copy().run(_portable.enclose, function)


PATCHES: dict[str, Callable[[Any], Any]] = {
    "joblib.parallel:Parallel.__call__": _noting,
    "joblib.parallel:Parallel._dispatch": _sending,
}

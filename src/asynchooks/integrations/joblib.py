"""joblib: what `Parallel` calls in threads runs in the context of whoever called it; what it sends
to processes has the portable stores of there.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks.context.carriers import enclose
from asynchooks.integrations.beside import Beside
from asynchooks.integrations.wrapping import with_arguments

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap

# Of each `Parallel` that was called, since later batches are sent by threads of its own.
_contexts: Beside[contextvars.Context] = Beside()


def _note(parallel: object, *args: Any, **kwargs: Any) -> None:
    _contexts.put(parallel, contextvars.copy_context())


def _bind(parallel: Any, batch: Any) -> None:
    context = _contexts.get(parallel)
    if context is not None:
        bind = _bind_to if getattr(parallel._backend, "supports_sharedmem", False) else _enclose
        batch.items = [(bind(context, fn), args, kwargs) for fn, args, kwargs in batch.items]


def _bind_to(context: contextvars.Context, fn: Any) -> Any:
    return _native.Wrapper(fn, "context", helper=context)


def _enclose(context: contextvars.Context, fn: Any) -> Any:
    return context.copy().run(enclose, fn)


PATCHES: dict[str, Wrap] = {
    "joblib.parallel:Parallel.__call__": with_arguments(_note),
    "joblib.parallel:Parallel._dispatch": with_arguments(_bind),
}

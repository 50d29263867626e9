"""joblib: what `Parallel` sends to processes has the portable stores of whoever called it. Its
threads are a pool of `multiprocessing.pool`, whose jobs have their submitter's context anyway.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

from asynchooks.context.carriers import enclose
from asynchooks.integrations.beside import Beside
from asynchooks.integrations.wrapping import with_arguments

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap

# Of each `Parallel` that was called, since later batches are sent by threads of its own.
_contexts: Beside[contextvars.Context] = Beside()


def _note(parallel: object, *args: Any, **kwargs: Any) -> None:
    _contexts.put(parallel, contextvars.copy_context())


def _enclose(parallel: Any, batch: Any) -> None:
    context = _contexts.get(parallel)
    if context is None or getattr(parallel._backend, "supports_sharedmem", False):
        return
    run = context.copy().run
    batch.items = [(run(enclose, fn), *given) for fn, *given in batch.items]


PATCHES: dict[str, Wrap] = {
    "joblib.parallel:Parallel.__call__": with_arguments(_note),
    "joblib.parallel:Parallel._dispatch": with_arguments(_enclose),
}

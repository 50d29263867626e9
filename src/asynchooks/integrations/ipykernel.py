"""ipykernel: what a cell sets after an `await` is there in the next cell, as what it sets before.
A cell that awaits runs in a task, whose changes are brought back to the kernel's context.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

from asynchooks._patching import step_out
from asynchooks.integrations.contexts import Changes
from asynchooks.integrations.wrapping import through

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap

_changes: contextvars.ContextVar[Changes | None] = contextvars.ContextVar(
    "asynchooks.ipykernel", default=None
)


async def _execute(original: Any, kernel: object, *args: Any, **kwargs: Any) -> Any:
    changes = Changes()
    _changes.set(changes)
    try:
        return await original(kernel, *args, **kwargs)
    except BaseException as exc:
        step_out(exc)
        raise
    finally:
        changes.bring()
        _changes.set(None)


async def _run_cell(original: Any, shell: object, *args: Any, **kwargs: Any) -> Any:
    changes = _changes.get() or Changes()
    changes.begin()
    try:
        return await original(shell, *args, **kwargs)
    except BaseException as exc:
        step_out(exc)
        raise
    finally:
        changes.note()


PATCHES: dict[str, Wrap] = {
    "ipykernel.ipkernel:IPythonKernel.do_execute": through(_execute),
    "IPython.core.interactiveshell:InteractiveShell.run_cell_async": through(_run_cell),
}

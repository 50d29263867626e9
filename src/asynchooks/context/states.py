"""What a context holds, to be put back."""

from __future__ import annotations

from asynchooks._native import ContextState
from asynchooks._reporting import report_once

__all__ = ("state_here",)


def state_here() -> ContextState | None:
    """What the context of here holds. None where this Python's contexts are not as we know them:
    then nothing can be put back, and is said once."""
    try:
        return ContextState()
    except RuntimeError as exc:
        report_once(
            "context.states",
            "`with detached()` and `each` change no context: %s. Please report it with the output "
            "of `python -VV`; `detached(fn)` works all the same",
            exc,
        )
        return None

"""How the integrations wrap: with the core's `Wrapper`, which leaves no frame of ours, and calls
through where a helper of ours fails."""

from __future__ import annotations

import contextvars
from functools import partial
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks._binding import bind_argument

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynchooks.integrations.beside import Beside

    Wrap = Callable[[Any], Any]

__all__ = (
    "binding",
    "calling",
    "in_a_copy",
    "in_context",
    "in_context_beside",
    "in_no_context",
    "in_the_outermost_context",
    "through",
    "with_arguments",
)


def with_arguments(helper: Callable[..., tuple[tuple[Any, ...], dict[str, Any]] | None]) -> Wrap:
    """Before the call, `helper(*args, **kwargs)` says which arguments it gets; None: its own."""
    return partial(_native.Wrapper, action="arguments", helper=helper)


def in_context(helper: Callable[..., contextvars.Context | None]) -> Wrap:
    """The call runs in a copy of what `helper(*args, **kwargs)` says; None: of no other context."""
    return partial(_native.Wrapper, action="context", helper=helper)


def in_context_beside(attribute: str, contexts: Beside[contextvars.Context]) -> Wrap:
    """The call runs in a copy of the context beside the first argument's attribute of this name.
    The core finds it, for what every request comes by."""
    return partial(_native.Wrapper, action="context", helper=(attribute, contexts.values))


def calling(then: Callable[..., None]) -> Wrap:
    """After the call, `then(result, *args, **kwargs)`."""
    return lambda original: _native.Wrapper(original, "call", then=then)


def through(helper: Callable[..., Any]) -> Wrap:
    """In the place of the call, `helper(original, *args, **kwargs)`."""
    return partial(_native.Wrapper, action="through", helper=helper)


def _here(*args: Any, **kwargs: Any) -> contextvars.Context:
    return contextvars.copy_context()


# One request, or one job: what it sets is gone when it returns.
in_a_copy: Wrap = in_context(_here)


def _nowhere(*args: Any, **kwargs: Any) -> contextvars.Context:
    return contextvars.Context()


# What outlives the request that happens to come first: it shall hold nothing of that.
in_no_context: Wrap = in_context(_nowhere)


def _outside(*args: Any, **kwargs: Any) -> contextvars.Context:
    return _native.outermost_context()


# The same, of what may call the application: it has what its thread has set outside of all tasks.
in_the_outermost_context: Wrap = in_context(_outside)


def binding(position: int) -> Wrap:
    """The function that is the argument at `position` will run in a copy of the caller's context.
    To whoever gets it, it is the function."""

    def bind(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return bind_argument(args, kwargs, position, None, contextvars.copy_context())

    return with_arguments(bind)

"""Calling a function as nobody: in an empty context, and without a cause. For what outlives whoever
happens to start it: the threads of pools and of libraries, and our own."""

from __future__ import annotations

import contextvars
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from asynchooks import _native

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("call_detached", "call_outermost")

R = TypeVar("R")


def call_detached(fn: Callable[..., R], /, *args: object, **kwargs: object) -> R:
    """`fn(*args, **kwargs)`. What it makes has no cause and is its own root; what it sets in its
    context is seen by nobody else."""
    return _call_in(contextvars.Context(), fn, *args, **kwargs)


def call_outermost(fn: Callable[..., R], /, *args: object, **kwargs: object) -> R:
    """The same, in what this thread has set outside of all tasks, requests and jobs: what a process
    that is forked is to have of the program, and not of whoever happens to fork it."""
    return _call_in(_native.outermost_context(), fn, *args, **kwargs)


def _call_in(context: contextvars.Context, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> R:
    result: R = context.run(_native.call_detached, partial(fn, **kwargs) if kwargs else fn, *args)
    return result

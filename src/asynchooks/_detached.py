"""Calling a function as nobody: in an empty context, and without a cause. For what outlives whoever
happens to start it: the threads of pools and of libraries, and our own."""

from __future__ import annotations

import contextvars
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from asynchooks import _native

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("call_detached",)

R = TypeVar("R")


def call_detached(fn: Callable[..., R], /, *args: object, **kwargs: object) -> R:
    """`fn(*args, **kwargs)`. What it makes has no cause and is its own root; what it sets in its
    context is seen by nobody else."""
    call = partial(fn, **kwargs) if kwargs else fn
    result: R = contextvars.Context().run(_native.call_detached, call, *args)
    return result

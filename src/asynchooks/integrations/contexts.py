"""What frameworks do in threads and tasks of theirs, as if it were done here: bring back what it
sets, or keep one context for all of it."""

from __future__ import annotations

import contextvars
import inspect
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from asynchooks._native import MISSING
from asynchooks._patching import step_out
from asynchooks.integrations.wrapping import with_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = (
    "Changes",
    "Kept",
    "iterating_in_one_context",
)

P = ParamSpec("P")
R = TypeVar("R")


class Changes:
    """What a call in another context sets, to be set here, too: as if it had been called here."""

    __slots__ = ("_after", "_before", "_tokens")

    def __init__(self) -> None:
        self._before = self._after = contextvars.Context()
        # Of what was not set here before, to make that so again.
        self._tokens: dict[contextvars.ContextVar[Any], contextvars.Token[Any]] = {}

    def begin(self) -> None:
        """What differs from here on is a change."""
        self._before = self._after = contextvars.copy_context()

    def note(self) -> None:
        """What differs by now has changed."""
        self._after = contextvars.copy_context()

    def bring(self) -> None:
        """Set in the context of here what has changed since the last time."""
        before, after = self._before, self._after
        for variable, value in after.items():
            if before.get(variable, MISSING) is not value:
                token = variable.set(value)
                if token.old_value is contextvars.Token.MISSING:
                    self._tokens[variable] = token
        for variable in [found for found in self._tokens if found not in after]:
            with suppress(ValueError):  # of another context than this
                variable.reset(self._tokens.pop(variable))
        self._before = after

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """`fn(*args, **kwargs)`, and note what it changed, also where it raises."""
        self.begin()
        try:
            return fn(*args, **kwargs)
        except BaseException as exc:
            step_out(exc)
            raise
        finally:
            self.note()


class Kept:
    """One context for several calls, so that a `Token` of the first is good in the last. What is
    set around a call is seen by it; what it sets stays here."""

    __slots__ = ("_context",)

    def __init__(self) -> None:
        self._context = contextvars.copy_context()

    def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """`fn(*args, **kwargs)` in this context, brought up to date before."""
        context = self._context
        context.run(_update, contextvars.copy_context())
        try:
            return context.run(fn, *args, **kwargs)
        except BaseException as exc:
            step_out(exc)
            raise


def _update(outer: contextvars.Context) -> None:
    for variable, value in outer.items():
        if variable.get(MISSING) is not value:
            variable.set(value)


class _KeptIterator:
    """An iterator whose steps all run in one context."""

    def __init__(self, iterable: Iterable[Any]) -> None:
        self._kept = Kept()
        self._iterable = iterable
        self._iterator: Any = iterable  # old releases of Starlette ask for steps at once

    def __iter__(self) -> Iterator[Any]:
        self._iterator = iter(self._iterable)
        return self

    def __next__(self) -> Any:
        try:
            return self._kept.run(next, self._iterator)
        except BaseException as exc:
            step_out(exc)
            raise

    def __del__(self) -> None:
        # Given up in the middle: a generator's `finally` belongs to its context, too.
        if inspect.isgenerator(self._iterable):
            self._kept.run(self._iterable.close)


def _keep(iterator: Iterable[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (_KeptIterator(iterator),), {}


# Of `iterate_in_threadpool(iterator)`, which makes each step in a copy of the context.
iterating_in_one_context = with_arguments(_keep)

"""Wrapping a call in a span: what the files of this package share.

A wrapper calls the original exactly once, with its own arguments, and passes on its result or
exception unchanged. What it does of its own may fail: that is reported once, and the call goes
through.
"""

from __future__ import annotations

import functools
import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks._patching import step_out
from asynchooks._reporting import report_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynchooks.tracing import Span

    # From the arguments of a call to its span, or None where there is nothing to record.
    Begin = Callable[..., Span | None]
    # Adds to a span what the call's result tells.
    Finish = Callable[[Span, Any], None]
    # Adds to a span what the exception of a failed call tells.
    Explain = Callable[[Span, BaseException], None]
    # Puts back what `Begin` has changed in the arguments.
    Restore = Callable[..., None]

__all__ = (
    "fail",
    "guarded",
    "is_coroutine_function",
    "replacing_argument",
    "report",
    "step_out",
    "traced",
    "unrecorded",
    "wrapper",
)


def guarded(
    original: Callable[..., Any], step: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """`step(*args, **kwargs)`, or None where it raises, which is reported once."""
    try:
        return step(*args, **kwargs)
    except Exception as exc:
        report(original, exc)
        return None


def report(original: Any, exc: Exception) -> None:
    """Tell that a call of `original` went by unrecorded, and why."""
    name = f"{original.__module__}.{getattr(original, '__qualname__', type(original).__qualname__)}"
    report_once(f"call.{name}", "asynchooks could not record a call of %s", name, exc_info=exc)


def wrapper(original: Any, action: str, helper: Any = None) -> Any:
    """A callable of the core in the place of a function, or of a coroutine function or generator
    function, whose call lasts as long as what it makes."""
    if is_coroutine_function(original) or inspect.isgeneratorfunction(original):
        action += "_steps"
    return _native.Wrapper(original, action, helper=helper)


def traced(
    begin: Begin,
    finish: Finish | None = None,
    restore: Restore | None = None,
    *,
    explain: Explain | None = None,
    is_whole: bool = False,
    is_gated: bool = False,
) -> Callable[[Any], Any]:
    """A wrapper, for `Patches.wrap`, of a function, coroutine function or generator function: the
    span that `begin(*args, **kwargs)` starts lasts as long as the call, and fails when it does. In
    the end `restore(*args, **kwargs)` is called, where there is a span.

    A generator function is one whose generator is run to its end, as a coroutine is. `is_whole`:
    nothing that the call does inside is a span of its own. `is_gated`: `begin` is asked only where
    somebody's request is recorded.
    """
    parts = (begin, finish, partial(fail, explain=explain), restore, report, is_gated, is_whole)
    return lambda original: wrapper(original, "span", parts)


def fail(span: Span | None, exc: BaseException, explain: Explain | None = None) -> None:
    """End the span of a call that raised."""
    if span is not None:
        span.record_exception(exc)
        if explain is not None:
            guarded(explain, explain, span, exc)
        span.end()


def is_coroutine_function(function: Any) -> bool:
    """Whether calling `function` makes a coroutine: also one that Cython has compiled, which
    `inspect` does not know."""
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    return inspect.iscoroutinefunction(function) or bool(flags & inspect.CO_COROUTINE)


def unrecorded(original: Any) -> Any:
    """A wrapper, for `Patches.wrap`, of a function, coroutine function or generator function whose
    parts are no spans of their own: it is one as a whole, or the library's own business."""
    return wrapper(original, "unrecorded")


def replacing_argument(
    position: int, name: str, convert: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """A wrapper, for `Patches.wrap`, of a function that is called with `convert(argument)` instead
    of the argument at this position, or of this name."""

    def make(original: Any) -> Any:
        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            if name in kwargs:
                kwargs[name] = convert(kwargs[name])
            elif len(args) > position:
                args = (*args[:position], convert(args[position]), *args[position + 1 :])
            try:
                return original(*args, **kwargs)
            except BaseException as exc:
                step_out(exc)
                raise

        return call

    return make

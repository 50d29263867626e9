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
from asynchooks.tracing import recording_span, suppress_tracing

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
)


def _always() -> bool:
    return True


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
    name = f"{original.__module__}.{original.__qualname__}"
    report_once(f"call.{name}", "asynchooks could not record a call of %s", name, exc_info=exc)


def traced(
    begin: Begin,
    finish: Finish | None = None,
    restore: Restore | None = None,
    *,
    explain: Explain | None = None,
    whole: bool = False,
    gate: Callable[[], object] = _always,
) -> Callable[[Any], Any]:
    """A wrapper, for `Patches.wrap`, of a function, coroutine function or generator function: the
    span that `begin(*args, **kwargs)` starts lasts as long as the call, and fails when it does. In
    the end `restore(*args, **kwargs)` is called, where there is a span.

    A generator function is one whose generator is run to its end, as a coroutine is. With `whole`,
    nothing that the call does inside is a span of its own. Where `gate()` is not true, `begin` is
    not asked.
    """

    def make(original: Any) -> Any:
        if is_coroutine_function(original):

            @functools.wraps(original)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                span = guarded(original, begin, *args, **kwargs) if gate() else None
                try:
                    if whole and span is not None:
                        with suppress_tracing():
                            result = await original(*args, **kwargs)
                    else:
                        result = await original(*args, **kwargs)
                except BaseException as exc:
                    failed(span, exc, args, kwargs)
                    raise
                succeeded(span, result, args, kwargs)
                return result

            return call_async

        if inspect.isgeneratorfunction(original):

            @functools.wraps(original)
            def run(*args: Any, **kwargs: Any) -> Any:
                span = guarded(original, begin, *args, **kwargs) if gate() else None
                try:
                    if whole and span is not None:
                        with suppress_tracing():
                            result = yield from original(*args, **kwargs)
                    else:
                        result = yield from original(*args, **kwargs)
                except BaseException as exc:
                    failed(span, exc, args, kwargs)
                    raise
                succeeded(span, result, args, kwargs)
                return result

            return run

        if not whole and restore is None:
            parts = (begin, finish, partial(fail, explain=explain), report, gate is recording_span)
            return _native.Wrapper(original, "span", helper=parts)

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            span = guarded(original, begin, *args, **kwargs) if gate() else None
            try:
                if whole and span is not None:
                    with suppress_tracing():
                        result = original(*args, **kwargs)
                else:
                    result = original(*args, **kwargs)
            except BaseException as exc:
                failed(span, exc, args, kwargs)
                raise
            succeeded(span, result, args, kwargs)
            return result

        return call

    def succeeded(span: Span | None, result: Any, args: Any, kwargs: Any) -> None:
        if span is not None:
            if finish is not None:
                guarded(finish, finish, span, result)
            span.end()
            leave(args, kwargs)

    def failed(span: Span | None, exc: BaseException, args: Any, kwargs: Any) -> None:
        step_out(exc)
        if span is not None:
            fail(span, exc, explain)
            leave(args, kwargs)

    def leave(args: Any, kwargs: Any) -> None:
        if restore is not None:
            guarded(restore, restore, *args, **kwargs)

    return make


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
    """A wrapper of a function, or coroutine function, whose parts are no spans of their own: it is
    one as a whole, or the library's own business."""
    if is_coroutine_function(original):

        @functools.wraps(original)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            with suppress_tracing():
                try:
                    return await original(*args, **kwargs)
                except BaseException as exc:
                    step_out(exc)
                    raise

        return call_async

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        with suppress_tracing():
            try:
                return original(*args, **kwargs)
            except BaseException as exc:
                step_out(exc)
                raise

    return call


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

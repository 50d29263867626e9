"""What is in force in a piece of code: its span, its baggage, whether anything is recorded.

One context variable holds all of it, so that asyncio, threads and pools carry one thing.
"""

from __future__ import annotations

import contextvars
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from asynchooks.tracing.span import Span

__all__ = ("NO_BAGGAGE", "Scope", "current_scope")

NO_BAGGAGE: Mapping[str, Any] = MappingProxyType({})


class Scope:
    """`with scope:` puts it in force. What a subclass does not say is as it is outside.

    A scope may be left in another context than it was entered in, or before a scope inside of it:
    an async generator that holds one over a `yield` is closed by whoever comes by. Leaving never
    raises then; the scope counts as left wherever it still is in force, and what is outside of it
    shows. Left where it was entered, it stays in force for the tasks that were created inside.

    Attributes:
        span: the span that what runs here belongs to.
        baggage: what goes on to other services beside the trace (W3C baggage).
        is_suppressed: whether spans started here are not recorded.
        attached: what OpenTelemetry's context holds besides, if anybody has attached one.
        composed: OpenTelemetry's context as it was last asked for here, and the span in it.
    """

    __slots__ = (
        "_is_misplaced",
        "_outer",
        "_token",
        "attached",
        "baggage",
        "composed",
        "is_suppressed",
        "span",
    )

    def __init__(self) -> None:
        self.span: Span | None = None
        self.baggage = NO_BAGGAGE
        self.is_suppressed = False
        self.attached: Mapping[str, object] | None = None
        self.composed: tuple[Span | None, Any] | None = None
        self._outer: Scope | None = None
        self._token: contextvars.Token[Scope] | None = None
        self._is_misplaced = False

    def enter(self) -> None:
        """Put the scope in force, over what is now."""
        self._outer = current_scope()
        self._token = _current.set(self)

    def leave(self) -> None:
        """Put in force again what was before, where that is still possible."""
        token, self._token = self._token, None
        if token is None:
            return
        if _current.get() is self:
            try:
                _current.reset(token)
            except ValueError:  # a copy of the context in which it was entered
                pass
            else:
                self._outer = None  # a task that has inherited this scope needs no more of it
                return
        self._is_misplaced = True

    def __enter__(self) -> Any:
        self.enter()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    @property
    def is_outermost(self) -> bool:
        """Whether nothing is in force here."""
        return self is _OUTERMOST

    def inherit(self) -> Self:
        """Take over everything from the scope that is in force."""
        outer = current_scope()
        self.span = outer.span
        self.baggage = outer.baggage
        self.is_suppressed = outer.is_suppressed
        self.attached = outer.attached
        return self


_OUTERMOST = Scope()
_current: contextvars.ContextVar[Scope] = contextvars.ContextVar(
    "asynchooks.scope", default=_OUTERMOST
)


def current_scope() -> Scope:
    """The innermost scope in force here. There always is one."""
    scope = _current.get()
    while scope._is_misplaced:
        scope = scope._outer or _OUTERMOST
    return scope

"""OpenTelemetry's context as a view of what is in force here: span, baggage and suppression are
ours, whatever else it holds is kept beside them.

`detach` never fails: a context that is detached elsewhere than it was attached counts as detached
wherever it still is in force (see `Scope`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import opentelemetry.baggage
import opentelemetry.context
from opentelemetry.baggage import _BAGGAGE_KEY
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context
from opentelemetry.context.context import _RuntimeContext
from opentelemetry.trace.propagation import _SPAN_KEY

from asynchooks import _native
from asynchooks.opentelemetry.spans import api_span, our_span
from asynchooks.tracing.current import current_span
from asynchooks.tracing.scope import Scope, current_scope

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry import trace

    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

__all__ = ("SpanScope", "install")

# The keys under which the API looks for what is ours.
_OURS = frozenset((_BAGGAGE_KEY, _SPAN_KEY, _SUPPRESS_INSTRUMENTATION_KEY))


def install(patches: Patches) -> None:
    """Put our runtime context in the place of the API's."""
    module = opentelemetry.context
    context = RuntimeContext(module._RUNTIME_CONTEXT)
    patches.replace(module, "_RUNTIME_CONTEXT", context)
    patches.wrap(module, "get_value", _without_a_context)


def _without_a_context(get_value: Any) -> Any:
    """The API's function of this name, but that no context is made for it where the core knows what
    it would hold: FastAPI asks four times a request for what nobody has set."""
    return _native.Wrapper(get_value, "get_value", helper=_OURS)


class RuntimeContext(_RuntimeContext):
    """What `opentelemetry.context` works on. `replaced` is asked for what was attached before."""

    def __init__(self, replaced: _RuntimeContext) -> None:
        self._replaced = replaced

    def get_current(self) -> Context:
        scope = current_scope()
        if scope.is_outermost:
            return self._replaced.get_current()
        span = current_span()
        composed = scope.composed
        if composed is not None and composed[0] is span:
            context: Context = composed[1]
            return context
        context = _compose(scope, span)
        if composed is None:
            scope.composed = (span, context)
        return context

    def attach(self, context: Context) -> Token[Context]:
        scope: Any = _Attached(context)
        scope.enter()
        return scope  # type: ignore[no-any-return] # opaque to whoever gives it back

    def detach(self, token: Any) -> None:
        if isinstance(token, _Attached):
            token.leave()
        else:
            self._replaced.detach(token)


class SpanScope(Scope):
    """Has a span of the API be the current one, the very object."""

    __slots__ = ("api_span",)

    def __init__(self, span: Span, api_span: trace.Span) -> None:
        self.span = span
        self.api_span = api_span


class _Attached(Scope):
    """A context of the API, in force."""

    __slots__ = ()

    def __init__(self, context: Context) -> None:
        self.span = our_span(context, current_span())
        baggage = context.get(_BAGGAGE_KEY)
        self.baggage = baggage if isinstance(baggage, dict) else None
        self.is_suppressed = bool(context.get(_SUPPRESS_INSTRUMENTATION_KEY))
        self.attached = context
        self.composed = (self.span, context)


def _compose(scope: Scope, span: Span | None) -> Context:
    values = dict(scope.attached or ())
    _put(values, _BAGGAGE_KEY, dict(scope.baggage or ()))
    _put(values, _SUPPRESS_INSTRUMENTATION_KEY, scope.is_suppressed)
    if span is None:
        values.pop(_SPAN_KEY, None)
    elif isinstance(scope, SpanScope) and scope.span is span:
        values[_SPAN_KEY] = scope.api_span
    else:
        values[_SPAN_KEY] = api_span(span)
    return Context(values)


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    if value:
        values[key] = value
    else:
        values.pop(key, None)

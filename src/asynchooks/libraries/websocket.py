"""The messages of a websocket: each that comes is a span, which lasts until the next is asked for,
so that what the application does about it is inside; each that goes is a span while it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.tracing import start_span, use_span

if TYPE_CHECKING:
    from asynchooks.tracing import Request, Span

__all__ = ("Messages",)


class Messages:
    """The messages of one connection."""

    __slots__ = ("_request", "_scope")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._scope: use_span | None = None  # of the message that came last

    def receive(self, data: str | bytes) -> None:
        """A message came. What runs here from now on is about it."""
        span = start_span("websocket receive", parent=self._request.span)
        _describe(span, data)
        self._scope = use_span(span)
        self._scope.enter()

    def end_received(self) -> None:
        """The application is done with the message that came last."""
        scope, self._scope = self._scope, None
        if scope is not None and scope.span is not None:
            scope.leave()
            scope.span.end()

    def start_sent(self, data: str | bytes) -> Span:
        """A message goes: because of the one that is worked on here, or by itself."""
        span = start_span("websocket send")
        _describe(span, data)
        return span


def _describe(span: Span, data: str | bytes) -> None:
    span.set_attribute("asynchooks.kind", "websocket")
    span.set_attribute("asynchooks.message.type", "text" if isinstance(data, str) else "binary")
    span.set_attribute("asynchooks.message.size", len(data))

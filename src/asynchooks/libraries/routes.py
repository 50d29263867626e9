"""What frameworks tell a request that its server has begun: the template of the route that it
matched, and the exception that the framework answers itself."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded, step_out
from asynchooks.tracing import current_request

if TYPE_CHECKING:
    from collections.abc import Callable

    # From a route and the scope that it handles to its template, or None.
    TemplateOf = Callable[[Any, Any], str | None]

__all__ = ("record_failure", "remembering_route")


def remembering_route(template_of: TemplateOf) -> Callable[[Any], Any]:
    """A wrapper of a route's `handle` that tells the request its template. A mount comes before
    what is mounted there, and is its prefix."""

    def remember(route: Any, scope: Any) -> None:
        request = current_request()
        template = template_of(route, scope)
        if request is not None and template is not None:
            request.route = (request.route or "") + template

    def make(original: Any) -> Any:
        @functools.wraps(original)
        async def handle(self: Any, scope: Any, receive: Any, send: Any) -> None:
            guarded(original, remember, self, scope)
            try:
                await original(self, scope, receive, send)
            except BaseException as exc:
                step_out(exc)
                raise

        return handle

    return make


def record_failure(exc: BaseException) -> None:
    """Record that the request in force failed by `exc`, which its server will not see."""
    request = current_request()
    if request is not None:
        request.span.record_exception(exc)

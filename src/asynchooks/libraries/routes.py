"""What frameworks tell a request that its server has begun: the template of the route that it
matched, and the exception that the framework answers itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks.libraries.calls import report
from asynchooks.tracing import current_request

if TYPE_CHECKING:
    from collections.abc import Callable

    # From a route and the scope that it handles to its template, or None.
    TemplateOf = Callable[[Any, Any], str | None]

__all__ = ("record_failure", "remembering_route")


def remembering_route(template_of: TemplateOf) -> Callable[[Any], Any]:
    """A wrapper of a route's `handle` that tells the request its template. A mount comes before
    what is mounted there, and is its prefix."""

    def make(original: Any) -> Any:
        def before(route: Any, scope: Any, *args: Any, **kwargs: Any) -> None:
            try:
                request = current_request()
                template = template_of(route, scope) if request is not None else None
                if request is not None and template is not None:
                    request.route = (request.route or "") + template
            except Exception as exc:
                report(original, exc)

        return _native.Wrapper(original, "arguments", helper=before)  # those that are given

    return make


def record_failure(exc: BaseException) -> None:
    """Record that the request in force failed by `exc`, which its server will not see."""
    request = current_request()
    if request is not None:
        request.span.record_exception(exc)

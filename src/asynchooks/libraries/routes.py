"""What frameworks tell a request that its server has begun: the template of the route that it
matched, and the exception that the framework answers itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks.libraries.calls import guarded
from asynchooks.tracing import current_request

if TYPE_CHECKING:
    from collections.abc import Callable

    # From the arguments of `handle`, a route and the scope first, to the template, or None.
    TemplateOf = Callable[..., str | None]

__all__ = ("record_failure", "remembering_route", "remembering_route_of")


def remembering_route(template: str) -> Callable[[Any], Any]:
    """A wrapper of a route's `handle` that tells the request its template: this attribute of the
    route. A mount comes before what is mounted there, and is its prefix."""
    return lambda original: _native.Wrapper(original, "route", helper=template)


def remembering_route_of(key: str, template_of: TemplateOf) -> Callable[[Any], Any]:
    """The same for a template that the function says, of requests whose scope has the key."""

    def make(original: Any) -> Any:
        helper = (key, partial(guarded, original, template_of))
        return _native.Wrapper(original, "route", helper=helper)

    return make


def record_failure(exc: BaseException) -> None:
    """Record that the request in force failed by `exc`, which its server will not see."""
    request = current_request()
    if request is not None:
        request.span.record_exception(exc)

"""Django: the template of the route that a request matched, and the exception that Django itself
answers. Under WSGI and ASGI alike; the request is begun by the server."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded, step_out
from asynchooks.libraries.routes import record_failure
from asynchooks.tracing import current_request

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "django"
MODULE = "django.core.handlers.base"
SUPPORTED = ("3.2", "7")


def install(patches: Patches, module: ModuleType) -> None:
    from django.core.handlers import exception  # type: ignore[import-untyped] # the application has imported it

    patches.wrap(module.BaseHandler, "resolve_request", _make_resolve_request)
    patches.wrap(exception, "handle_uncaught_exception", _make_handle_uncaught_exception)


def _make_resolve_request(original: Any) -> Any:
    @functools.wraps(original)
    def resolve_request(self: Any, request: Any) -> Any:
        try:
            match = original(self, request)
        except BaseException as exc:
            step_out(exc)
            raise
        guarded(original, _remember_route, match)
        return match

    return resolve_request


def _make_handle_uncaught_exception(original: Any) -> Any:
    @functools.wraps(original)
    def handle_uncaught_exception(request: Any, resolver: Any, exc_info: Any) -> Any:
        record_failure(exc_info[1])
        try:
            return original(request, resolver, exc_info)
        except BaseException as exc:
            step_out(exc)
            raise

    return handle_uncaught_exception


def _remember_route(match: Any) -> None:
    request = current_request()
    if request is not None:
        request.route = f"/{match.route}"

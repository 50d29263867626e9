"""Flask: the rule that a request matched, and the exception that Flask itself answers. The request
is begun by the server."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks.libraries.calls import guarded, step_out
from asynchooks.libraries.routes import record_failure
from asynchooks.tracing import current_request

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "flask"
MODULE = "flask"
SUPPORTED = ("2.0", "4")


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.Flask, "dispatch_request", _make_dispatch_request(module))
    patches.wrap(module.Flask, "handle_exception", _make_handle_exception)


def _make_dispatch_request(module: Any) -> Any:
    def remember_route() -> None:
        request = current_request()
        rule = module.request.url_rule
        if request is not None and rule is not None:
            request.route = rule.rule

    def make(original: Any) -> Any:
        def before(*args: Any, **kwargs: Any) -> None:
            guarded(original, remember_route)

        return _native.Wrapper(original, "arguments", helper=before)  # those that are given

    return make


def _make_handle_exception(original: Any) -> Any:
    @functools.wraps(original)
    def handle_exception(self: Any, *args: Any) -> Any:
        record_failure(args[-1])
        try:
            return original(self, *args)
        except BaseException as exc:
            step_out(exc)  # where exceptions are to propagate, to a debugger
            raise

    return handle_exception

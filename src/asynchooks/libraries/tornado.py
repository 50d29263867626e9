"""Tornado: a request lasts as long as its handler is executed; and the pattern of its route."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded, step_out
from asynchooks.libraries.incoming import Answer, start_incoming

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Request

NAME = "tornado"
MODULE = "tornado.web"
SUPPORTED = ("6.1", "7")

_REQUEST_ID = "X-Request-ID"
# In the __dict__ of a handler: our request and its answer; of Tornado's request: its pattern.
_SERVED = "_asynchooks_served"
_ROUTE = "_asynchooks_route"


def install(patches: Patches, module: ModuleType) -> None:
    from tornado.routing import PathMatches  # tornado.web has imported it

    handler = module.RequestHandler
    patches.wrap(handler, "_execute", _make_execute)
    patches.wrap(handler, "_handle_request_exception", _make_handle_exception(module))
    patches.wrap(handler, "flush", _make_flush)
    patches.wrap(PathMatches, "match", _make_match)


def _make_execute(original: Any) -> Any:
    @functools.wraps(original)
    async def _execute(self: Any, *args: Any, **kwargs: Any) -> None:
        request = guarded(original, _begin, self.request)
        if request is None:
            await original(self, *args, **kwargs)
            return
        with Answer(request) as answer:
            vars(self)[_SERVED] = request, answer
            try:
                await original(self, *args, **kwargs)
            finally:
                del vars(self)[_SERVED]
                answer.begin(self.get_status(), ())

    return _execute


def _make_handle_exception(module: Any) -> Any:
    answered = (module.HTTPError, module.Finish)

    def make(original: Any) -> Any:
        @functools.wraps(original)
        def _handle_request_exception(self: Any, e: BaseException) -> None:
            served = vars(self).get(_SERVED)
            if served is not None and not isinstance(e, answered):
                served[1].fail(e)
            original(self, e)

        return _handle_request_exception

    return make


def _make_flush(original: Any) -> Any:
    @functools.wraps(original)
    def flush(self: Any, *args: Any, **kwargs: Any) -> Any:
        served = vars(self).get(_SERVED)
        if served is None:
            return original(self, *args, **kwargs)
        request, answer = served
        answer.add(sum(map(len, self._write_buffer)))
        headers = self._headers
        is_ours = not self._headers_written and _REQUEST_ID not in headers
        if is_ours:
            headers[_REQUEST_ID] = request.id
        try:
            return original(self, *args, **kwargs)
        except BaseException as exc:
            step_out(exc)
            raise
        finally:
            if is_ours:
                headers.pop(_REQUEST_ID, None)

    return flush


def _make_match(original: Any) -> Any:
    @functools.wraps(original)
    def match(self: Any, request: Any) -> Any:
        found = original(self, request)
        if found is not None:
            # Before the handler is executed. The last that matches is the innermost.
            vars(request)[_ROUTE] = self.regex.pattern.removesuffix("$")
        return found

    return match


def _begin(incoming: Any) -> Request:
    connection = getattr(incoming.connection, "stream", None)
    socket = getattr(connection, "socket", None)
    address = socket.getsockname() if socket is not None else None
    request = start_incoming(
        method=incoming.method,
        path=incoming.path,
        headers=[
            (name.lower().encode("latin-1"), value.encode("utf-8"))
            for name, value in incoming.headers.get_all()
        ],
        scheme=incoming.protocol,
        query=incoming.query,
        version=incoming.version.removeprefix("HTTP/"),
        server=address if isinstance(address, tuple) else None,
        client=(incoming.remote_ip,) if incoming.remote_ip else None,
    )
    route = vars(incoming).get(_ROUTE)
    if route is not None:
        request.route = route
    return request

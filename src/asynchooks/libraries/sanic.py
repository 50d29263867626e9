"""Sanic: a request lasts as long as its server's protocol handles it; and the template of its
route.

The protocol is where to stand: Sanic compiles its own `handle_request` anew from its source.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded, step_out
from asynchooks.libraries.incoming import Answer, start_incoming
from asynchooks.libraries.routes import record_failure
from asynchooks.tracing import current_request

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Request

NAME = "sanic"
MODULE = "sanic"
SUPPORTED = ("23.3", "26")

_REQUEST_ID = "x-request-id"


def install(patches: Patches, module: ModuleType) -> None:
    patches.when_imported(
        "sanic.server.protocols.http_protocol",
        lambda protocols: patches.wrap(protocols.HttpProtocol, "_setup", _make_setup),
    )
    patches.wrap(module.Request, "respond", _make_respond)
    patches.when_imported(
        "sanic.handlers.error",
        lambda handlers: patches.wrap(handlers.ErrorHandler, "response", _make_error_response),
    )


def _make_setup(original: Any) -> Any:
    @functools.wraps(original)
    def _setup(self: Any) -> None:
        original(self)
        self.request_handler = _traced_handler(self.request_handler)

    return _setup


def _traced_handler(original: Any) -> Any:
    @functools.wraps(original)
    async def handle_request(incoming: Any) -> None:
        request = guarded(original, _begin, incoming)
        if request is None:
            await original(incoming)
            return
        with Answer(request) as answer:
            await original(incoming)
            if incoming.route is not None:
                request.route = "/" + incoming.route.path.lstrip("/")
            response = getattr(incoming.stream, "response", None)
            if response is not None:
                answer.begin(response.status, ())
                body = getattr(response, "body", None)
                answer.add(len(body) if body else 0)

    return handle_request


def _make_respond(original: Any) -> Any:
    @functools.wraps(original)
    async def respond(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            response = await original(self, *args, **kwargs)
        except BaseException as exc:
            step_out(exc)
            raise
        request = current_request()
        if request is not None and response is not None:
            response.headers.setdefault(_REQUEST_ID, request.id)
        return response

    return respond


def _make_error_response(original: Any) -> Any:
    @functools.wraps(original)
    def response(self: Any, request: Any, exception: BaseException) -> Any:
        # Sanic's own exceptions say what is to be answered.
        if getattr(exception, "status_code", 500) >= 500:
            record_failure(exception)
        return original(self, request, exception)

    return response


def _begin(incoming: Any) -> Request:
    connection = incoming.conn_info
    server = getattr(connection, "sockname", None)
    return start_incoming(
        method=incoming.method,
        path=incoming.path,
        headers=[
            (name.encode("latin-1"), value.encode("utf-8", "surrogateescape"))
            for name, value in incoming.headers.items()
        ],
        scheme=incoming.scheme,
        query=incoming.query_string,
        version=str(incoming.version),
        server=server if isinstance(server, tuple) else None,
        client=(incoming.ip,) if incoming.ip else None,
        is_websocket=incoming.headers.get("upgrade", "").lower() == "websocket",
    )

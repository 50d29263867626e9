"""aiohttp.web: a request lasts from its handler's call until the answer is written; and the
template of its route."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded, step_out
from asynchooks.libraries.incoming import Answer, start_incoming
from asynchooks.tracing import current_request

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Request

NAME = "aiohttp"
MODULE = "aiohttp.web"
SUPPORTED = ("3.8.3", "4")

_REQUEST_ID = "X-Request-ID"


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.RequestHandler, "_handle_request", _make_handle_request(module))
    patches.wrap(module.StreamResponse, "_write_headers", _make_write_headers)
    patches.wrap(module.UrlDispatcher, "resolve", _make_resolve)


def _make_handle_request(module: Any) -> Any:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        async def _handle_request(
            self: Any, request: Any, start_time: Any, request_handler: Any
        ) -> Any:
            ours = guarded(original, _begin, request)
            if ours is None:
                return await original(self, request, start_time, request_handler)
            with Answer(ours) as answer:
                handler = _failing_handler(request_handler, answer, module.HTTPException)
                result = await original(self, request, start_time, handler)
                response = result[0]
                answer.begin(response.status, _encoded(response.headers))
                answer.add(response.content_length or 0)  # of one that is not streamed
                return result

        return _handle_request

    return make


def _failing_handler(handler: Any, answer: Answer, answered: type[BaseException]) -> Any:
    """The handler, whose failure aiohttp answers without passing it on."""

    async def handle(request: Any) -> Any:
        try:
            return await handler(request)
        except answered:
            raise
        except BaseException as exc:
            step_out(exc)
            answer.fail(exc)
            raise

    return handle


def _make_write_headers(original: Any) -> Any:
    @functools.wraps(original)
    async def _write_headers(self: Any) -> None:
        request = current_request()
        if request is None or _REQUEST_ID in self._headers:
            await original(self)
            return
        # The application does not see it.
        self._headers[_REQUEST_ID] = request.id
        try:
            await original(self)
        except BaseException as exc:
            step_out(exc)
            raise
        finally:
            self._headers.popall(_REQUEST_ID, None)

    return _write_headers


def _make_resolve(original: Any) -> Any:
    @functools.wraps(original)
    async def resolve(self: Any, request: Any) -> Any:
        try:
            match = await original(self, request)
        except BaseException as exc:
            step_out(exc)
            raise
        guarded(original, _remember_route, match)
        return match

    return resolve


def _remember_route(match: Any) -> None:
    request = current_request()
    resource = match.route.resource
    if request is not None and resource is not None:
        request.route = resource.canonical


def _begin(request: Any) -> Request:
    transport = request.transport
    address = transport.get_extra_info("sockname") if transport is not None else None
    return start_incoming(
        method=request.method,
        path=request.path,
        headers=request.raw_headers,
        scheme=request.scheme,
        query=request.rel_url.raw_query_string,
        version=f"{request.version.major}.{request.version.minor}",
        server=address if isinstance(address, tuple) else None,
        client=(request.remote,) if request.remote else None,
        is_websocket=request.headers.get("upgrade", "").lower() == "websocket",
    )


def _encoded(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("utf-8")) for name, value in headers.items()]

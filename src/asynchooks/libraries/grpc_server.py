"""gRPC's servers, sync and asyncio: each call is a request of its own, from its handler's first
line to its last message. It is seen by an interceptor, the outermost of each server."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded, replacing_argument, step_out
from asynchooks.libraries.incoming import request_id_from
from asynchooks.libraries.jobs import running
from asynchooks.libraries.rpc import describe_call, is_fault, record_status
from asynchooks.tracing import extract, start_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType, TracebackType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Request

NAME = "grpcio"
MODULE = "grpc"
SUPPORTED = ("1.60", "2")


def install(patches: Patches, module: ModuleType) -> None:
    from grpc import _server  # type: ignore[import-untyped] # the application has imported grpc

    interceptor = _make_interceptor(module)
    patches.wrap(
        _server._Server, "__init__", replacing_argument(3, "interceptors", _first(interceptor))
    )
    patches.when_imported("grpc.aio._server", lambda aio: _install_aio(patches, module, aio))


def _install_aio(patches: Patches, module: ModuleType, aio: ModuleType) -> None:
    interceptor = _make_aio_interceptor(module, aio)
    patches.wrap(aio.Server, "__init__", replacing_argument(3, "interceptors", _first(interceptor)))


def _first(interceptor: Any) -> Callable[[Any], Any]:
    return lambda given: (interceptor, *(given or ()))


def _make_interceptor(module: Any) -> Any:
    class Interceptor(module.ServerInterceptor):  # type: ignore[misc] # gRPC is not imported by us
        def intercept_service(self, continuation: Any, details: Any) -> Any:
            return _traced_handler(module, continuation(details), details)

    return Interceptor()


def _make_aio_interceptor(module: Any, aio: Any) -> Any:
    class Interceptor(aio.ServerInterceptor):  # type: ignore[misc] # gRPC is not imported by us
        async def intercept_service(self, continuation: Any, details: Any) -> Any:
            return _traced_handler(module, await continuation(details), details)

    return Interceptor()


def _traced_handler(module: Any, handler: Any, details: Any) -> Any:
    """The handler of a call, with what it runs in a request of its own. None: there is no such
    method, and gRPC says so."""
    if handler is None:
        return None
    name = "_".join(
        "stream" if streams else "unary"
        for streams in (handler.request_streaming, handler.response_streaming)
    )
    make = getattr(module, f"{name}_rpc_method_handler")
    return make(
        _traced(getattr(handler, name), details),
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


def _traced(behavior: Any, details: Any) -> Any:
    """The four ways in which a method is written."""

    def begin(context: Any) -> Request | None:
        request: Request | None = guarded(behavior, _begin, details, context)
        return request

    if inspect.isasyncgenfunction(behavior):

        async def async_stream(incoming: Any, context: Any) -> Any:
            request = begin(context)
            if request is None:
                async for message in behavior(incoming, context):
                    yield message
                return
            with _serving(request, context):
                async for message in behavior(incoming, context):
                    yield message

        return async_stream

    if inspect.iscoroutinefunction(behavior):

        async def async_call(incoming: Any, context: Any) -> Any:
            request = begin(context)
            if request is None:
                return await behavior(incoming, context)
            with _serving(request, context):
                return await behavior(incoming, context)

        return async_call

    if inspect.isgeneratorfunction(behavior):

        def stream(incoming: Any, context: Any) -> Any:
            request = begin(context)
            if request is None:
                yield from behavior(incoming, context)
                return
            with _serving(request, context):
                yield from behavior(incoming, context)

        return stream

    def call(incoming: Any, context: Any) -> Any:
        request = begin(context)
        if request is None:
            return behavior(incoming, context)
        with _serving(request, context):
            return behavior(incoming, context)

    return call


def _begin(details: Any, context: Any) -> Request:
    metadata = {
        name: value for name, value in details.invocation_metadata or () if isinstance(value, str)
    }
    parent, baggage = extract(lambda name: metadata.get(name, ""))
    request = start_request(
        request_id=request_id_from(metadata.get("x-request-id", "")),
        method="RPC",
        path=details.method,
        parent=parent,
        baggage=baggage,
    )
    describe_call(request.span, details.method)
    peer = context.peer()  # ipv4:127.0.0.1:50000
    kind, _, address = (peer or "").partition(":")
    if kind in ("ipv4", "ipv6"):
        request.span.set_attribute("client.address", address.rpartition(":")[0].strip("[]"))
    if "user-agent" in metadata:
        request.span.set_attribute("user_agent.original", metadata["user-agent"])
    return request


class _serving(running):
    """`with _serving(request, context):` around the handler of one call."""

    __slots__ = ("_context",)

    def __init__(self, request: Request, context: Any) -> None:
        super().__init__(request)
        self._context = context

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        status = self._context.code()
        if status or exc is None:
            record_status(self._request.span, status, is_server=True)
        if exc is not None and status and not is_fault(status):
            step_out(exc)  # how gRPC's `abort` leaves the handler of a call that is refused
            exc = None
        super().__exit__(exc_type, exc, traceback)

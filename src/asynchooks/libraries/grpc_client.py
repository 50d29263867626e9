"""gRPC's clients, sync and asyncio: each call is a span, with the trace and the request id in its
metadata. It ends when the call does: with a stream's last message."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import fail, guarded, step_out
from asynchooks.libraries.outgoing import headers_of
from asynchooks.libraries.rpc import describe_call, record_status
from asynchooks.tracing import SpanKind, current_span, is_suppressed, start_span

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

NAME = "grpcio"
MODULE = "grpc"
SUPPORTED = ("1.60", "2")

_ARITIES = ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream")


def install(patches: Patches, module: ModuleType) -> None:
    from grpc import _channel  # type: ignore[import-untyped] # the application has imported grpc

    for name in (*_ARITIES, "SingleThreadedUnaryStream"):
        owner = getattr(_channel, f"_{name}MultiCallable", None)
        for method in ("__call__", "with_call", "future"):
            if owner is not None and method in vars(owner):
                patches.wrap(owner, method, _make_call(_target_of))
    patches.when_imported("grpc.aio._channel", lambda aio: _install_aio(patches, aio))


def _install_aio(patches: Patches, module: ModuleType) -> None:
    for name in _ARITIES:
        owner = getattr(module, f"{name}MultiCallable")
        patches.wrap(owner, "__call__", _make_call(_target_of_aio))


def _make_call(target_of: Any) -> Any:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            span = guarded(original, _begin, self, target_of)
            if span is None:
                return original(self, *args, **kwargs)
            args, kwargs = guarded(original, _with_metadata, span, args, kwargs) or (args, kwargs)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as exc:
                step_out(exc)
                guarded(original, _record_failure, span, exc)
                fail(span, exc)
                raise
            guarded(original, _end_with, span, result)
            return result

        return call

    return make


def _begin(callable: Any, target_of: Any) -> Span | None:  # noqa: A002 -- gRPC's word
    parent = current_span()
    if parent is None or is_suppressed():
        return None
    span = start_span("", kind=SpanKind.CLIENT, parent=parent)
    method = callable._method
    describe_call(span, method.decode() if isinstance(method, bytes) else method)
    target = target_of(callable)
    if target:
        address, _, port = target.rpartition(":")
        span.set_attribute("server.address", address.rpartition("/")[2] or target)
        if port.isdigit():
            span.set_attribute("server.port", int(port))
    return span


def _with_metadata(
    span: Span, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with our metadata after the application's, whose own of these names stay."""
    # (request, timeout, metadata, ...), where it is not given by name.
    given = args[2] if len(args) > 2 else kwargs.get("metadata")
    metadata = [*(given or ())]
    names = {name for name, _ in metadata}
    metadata.extend(item for item in headers_of(span).items() if item[0] not in names)
    if len(args) > 2:
        return (*args[:2], tuple(metadata), *args[3:]), kwargs
    return args, {**kwargs, "metadata": tuple(metadata)}


def _end_with(span: Span, result: Any) -> None:
    call = result[1] if isinstance(result, tuple) else result  # of with_call
    if hasattr(call, "add_done_callback"):
        call.add_done_callback(lambda done: guarded(_end_with, _finish, span, done))
    elif hasattr(call, "add_callback") and call.add_callback(
        lambda: guarded(_end_with, _finish, span, call)
    ):
        pass  # a stream that goes on
    else:
        _finish(span, call)


def _finish(span: Span, call: Any) -> None:
    status: Any = call.code() if hasattr(call, "code") else None
    if hasattr(status, "send"):  # asyncio's, of a call that is done
        try:
            status.send(None)
        except StopIteration as stop:
            status = stop.value
        else:
            status.close()
            status = None
    record_status(span, status, is_server=False)
    span.end()


def _record_failure(span: Span, exc: Any) -> None:
    if hasattr(exc, "code"):
        record_status(span, exc.code(), is_server=False)


def _target_of(callable: Any) -> str:  # noqa: A002 -- gRPC's word
    target: Any = getattr(callable, "_target", "") or callable._channel.target()
    return target.decode() if isinstance(target, bytes) else str(target)


def _target_of_aio(callable: Any) -> str:  # noqa: A002 -- gRPC's word
    return ""  # asyncio's channels do not say it

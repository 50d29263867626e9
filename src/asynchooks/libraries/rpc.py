"""Remote procedure calls, alike for their two sides: how a span says what was called, and what came
of it. By OpenTelemetry's conventions for RPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.tracing import StatusCode

if TYPE_CHECKING:
    from asynchooks.tracing import Span

__all__ = ("describe_call", "is_fault", "record_status")

# What says that the server has failed, and not that it was asked for something wrong.
_FAULTS = frozenset(
    ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
)


def describe_call(span: Span, method: str) -> None:
    """Name the span by the method, `/package.Service/Method`."""
    method = method.lstrip("/")
    span.update_name(method)
    span.set_attribute("rpc.system.name", "grpc")
    span.set_attribute("rpc.method", method)


def is_fault(status: Any) -> bool:
    """Whether a call that ended with this status has failed on its server."""
    return getattr(status, "name", None) in _FAULTS


def record_status(span: Span, status: Any, *, is_server: bool) -> None:
    """Record gRPC's status, an enumeration's member: each but OK is an error to who has called."""
    name = getattr(status, "name", None) or "OK"
    span.set_attribute("rpc.response.status_code", name)
    if name == "OK" or (is_server and not is_fault(status)):
        return
    if "error.type" not in span.attributes:
        span.set_attribute("error.type", name)
    if span.status_code is StatusCode.UNSET:
        span.set_status(StatusCode.ERROR)

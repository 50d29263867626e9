"""A request: the root of everything that it causes.

Requests themselves are the C core's, which begins one for each that comes in.
"""

from __future__ import annotations

from datetime import UTC, datetime

from asynchooks import _native
from asynchooks._native import request_of_root, start_request, use_request
from asynchooks.tracing.current import current_span

__all__ = ("Request", "current_request", "request_of_root", "start_request", "use_request")


class Request(_native.Request):
    """One incoming request, from anywhere downstream of it: `asynchooks.current_request()`.

    Attributes:
        id: the request id: taken from `x-request-id`, or made.
        method, path: as they came.
        route: the template of the route, once the framework has matched it: `/orders/{order_id}`.
        user: on whose behalf the request is; set it where you authenticate.
        root_async_id: the root of every resource that this request causes.
        span: the server span. It records nothing where the request is not sampled.
        spans: the spans that have ended so far, the newest 1,000.
        baggage: what the caller sent along beside the trace.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<Request {self.id} {self.method} {self.route or self.path}>"

    @property
    def start_time(self) -> datetime:
        """When the request began, in UTC."""
        return datetime.fromtimestamp(self.span.start_time / 1e9, UTC)

    @property
    def trace_id(self) -> str:
        """The W3C trace id, 32 hex digits."""
        return f"{self.span.context.trace_id:032x}"


_native.set_request_class(Request)


def current_request() -> Request | None:
    """The request that what runs here belongs to, or None outside of any."""
    span = current_span()
    return span.request if span is not None else None

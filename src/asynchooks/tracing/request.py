"""A request: the root of everything that it causes."""

from __future__ import annotations

import time
import weakref
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from asynchooks import _native
from asynchooks.tracing.current import current_span
from asynchooks.tracing.scope import NO_BAGGAGE, Scope
from asynchooks.tracing.span import Span, SpanContext, SpanKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynchooks.tracing.span import AttributeValue

__all__ = ("Request", "current_request", "request_of_root", "start_request", "use_request")

# A request keeps its newest spans for whoever asks; all of them are exported all the same.
MAXIMUM_SPANS = 1000

# While something holds them.
_by_root: weakref.WeakValueDictionary[int, Request] = weakref.WeakValueDictionary()


class Request:
    """One incoming request, from anywhere downstream of it: `asynchooks.current_request()`.

    Attributes:
        id: the request id: taken from `x-request-id`, or made.
        method, path: as they came.
        root_async_id: the root of every resource that this request causes.
        span: the server span. It records nothing where the request is not sampled.
        baggage: what the caller sent along beside the trace.
    """

    __slots__ = (
        "__weakref__",
        "_route",
        "_spans",
        "_user",
        "add_span",
        "baggage",
        "id",
        "is_kept",
        "method",
        "path",
        "root_async_id",
        "span",
        "waiting",
    )

    def __init__(self, request_id: str, method: str, path: str, root_async_id: int) -> None:
        self.id = request_id
        self.method = method
        self.path = path
        self.root_async_id = root_async_id
        self.span: Span
        self.baggage: Mapping[str, str] = NO_BAGGAGE
        # Tail sampling's: what has ended, and whether it is exported, once that is decided.
        self.waiting: deque[Span] = deque()
        self.is_kept: bool | None = None
        self._route: str | None = None
        self._user: str | None = None
        self._spans: deque[Span] = deque(maxlen=MAXIMUM_SPANS)
        # Called by each span of this request when it ends, in its thread. No lock: a span may end
        # in a finalizer, in the middle of this very method.
        self.add_span = self._spans.append

    def __repr__(self) -> str:
        return f"<Request {self.id} {self.method} {self.route or self.path}>"

    @property
    def route(self) -> str | None:
        """The route's template, once the framework has matched it: `/orders/{order_id}`."""
        return self._route

    @route.setter
    def route(self, route: str) -> None:
        self._route = route
        self.span.set_attribute("http.route", route)
        self.span.update_name(f"{self.method} {route}")

    @property
    def user(self) -> str | None:
        """On whose behalf the request is; set it where you authenticate."""
        return self._user

    @user.setter
    def user(self, user: str) -> None:
        self._user = user
        self.span.set_attribute("enduser.id", user)

    @property
    def start_time(self) -> datetime:
        """When the request began, in UTC."""
        return datetime.fromtimestamp(self.span.start_time / 1e9, UTC)

    @property
    def trace_id(self) -> str:
        """The W3C trace id, 32 hex digits."""
        return f"{self.span.context.trace_id:032x}"

    @property
    def newest_span(self) -> Span | None:
        """The span that has ended last."""
        return self._spans[-1] if self._spans else None

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans that have ended so far, the newest 1,000."""
        return tuple(self._spans)


def start_request(
    *,
    request_id: str,
    method: str,
    path: str,
    parent: SpanContext | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    baggage: Mapping[str, str] = NO_BAGGAGE,
    kind: SpanKind = SpanKind.SERVER,
) -> Request:
    """Begin a request: a new root, whatever was current before, and its server span; or, by `kind`,
    that of a consumer.

    `parent` and `baggage` are what the caller sent in its headers. Whoever calls this puts the
    request in force by `use_request`, and ends `request.span`.
    """
    request = Request(request_id, method, path, _native.start_root())
    _by_root[request.root_async_id] = request
    request.baggage = baggage
    request.span = Span(
        method,
        kind=kind,
        parent=parent,
        request=request,
        attributes=attributes,
        start_time=time.time_ns(),  # a request has one also where its span is not sampled
    )
    request.span.set_attribute("asynchooks.request_id", request_id)
    return request


class use_request(Scope):
    """`with use_request(request):` what runs inside belongs to `request`, and to nothing that was
    in force before: on a kept connection that may be the previous request."""

    __slots__ = ()

    def __init__(self, request: Request) -> None:
        self.span = request.span
        self.baggage = request.baggage
        self.attached = None
        self.is_suppressed = False
        self.records_tasks = True  # also where the previous request records none, while it sends


def current_request() -> Request | None:
    """The request that what runs here belongs to, or None outside of any."""
    span = current_span()
    return span.request if span is not None else None


def request_of_root(root: int) -> Request | None:
    """The request that is the root of this id, while anything still holds it."""
    return _by_root.get(root)

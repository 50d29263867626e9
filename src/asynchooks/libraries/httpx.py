"""httpx: every request that leaves, each redirect for itself, with the trace and the request id in
its headers. The span ends when the response's headers are there.

The headers are taken out again when the request was sent: the application does not see them, and a
redirect or a retry of the same request has those of its own span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import traced
from asynchooks.libraries.urls import redact_url
from asynchooks.tracing import (
    SpanKind,
    StatusCode,
    current_span,
    format_traceparent,
    is_suppressed,
    start_span,
)

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

NAME = "httpx"
MODULE = "httpx"
SUPPORTED = ("0.23", "1")

# In a request's __dict__ while it is sent: which of its headers are ours. Not in its extensions,
# which an application may share between requests.
_ADDED = "_asynchooks_headers"


def install(patches: Patches, module: ModuleType) -> None:
    for owner in (module.Client, module.AsyncClient):
        patches.wrap(owner, "_send_single_request", traced(_begin, _finish, _restore))


def _begin(client: object, request: Any) -> Span | None:
    parent = current_span()
    if parent is None or is_suppressed():
        return None
    url = request.url
    span = start_span(
        request.method,
        kind=SpanKind.CLIENT,
        parent=parent,
        attributes={
            "http.request.method": request.method,
            "url.full": redact_url(str(url)),
            "server.address": url.host,
            "server.port": url.port or (443 if url.scheme == "https" else 80),
        },
    )
    added = {}
    headers = request.headers
    if "traceparent" not in headers:
        added["traceparent"] = format_traceparent(span.context)
        if span.context.trace_state and "tracestate" not in headers:
            added["tracestate"] = span.context.trace_state
    if span.request is not None and "x-request-id" not in headers:
        added["x-request-id"] = span.request.id
    headers.update(added)
    vars(request)[_ADDED] = tuple(added)
    return span


def _restore(client: object, request: Any) -> None:
    for name in vars(request).pop(_ADDED, ()):
        del request.headers[name]


def _finish(span: Span, response: Any) -> None:
    status = response.status_code
    span.set_attribute("http.response.status_code", status)
    span.set_attribute("network.protocol.version", response.http_version.removeprefix("HTTP/"))
    if status >= 400:
        span.set_attribute("error.type", str(status))
        span.set_status(StatusCode.ERROR)

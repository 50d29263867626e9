"""httpx: every request that leaves, each redirect for itself, with the trace and the request id in
its headers. The span ends when the response's headers are there.

The headers are taken out again when the request was sent: the application does not see them, and a
redirect or a retry of the same request has those of its own span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import traced
from asynchooks.libraries.http import known_method, record_headers, record_method
from asynchooks.libraries.urls import redact_url
from asynchooks.tracing import (
    SpanKind,
    StatusCode,
    current_span,
    inject,
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
    span = start_span(known_method(request.method), kind=SpanKind.CLIENT, parent=parent)
    if span.is_recording():
        _describe(span, request)
    headers = request.headers
    added = {name: value for name, value in inject(span.context).items() if name not in headers}
    if span.request is not None and "x-request-id" not in headers:
        added["x-request-id"] = span.request.id
    headers.update(added)
    vars(request)[_ADDED] = tuple(added)
    return span


def _describe(span: Span, request: Any) -> None:
    url = request.url
    record_method(span, request.method)
    span.set_attribute("url.full", redact_url(str(url)))
    span.set_attribute("server.address", url.host)
    span.set_attribute("server.port", url.port or (443 if url.scheme == "https" else 80))
    record_headers(span, "client", "request", request.headers.raw)


def _restore(client: object, request: Any) -> None:
    for name in vars(request).pop(_ADDED, ()):
        del request.headers[name]


def _finish(span: Span, response: Any) -> None:
    if not span.is_recording():
        return
    status = response.status_code
    span.set_attribute("http.response.status_code", status)
    span.set_attribute("network.protocol.version", response.http_version.removeprefix("HTTP/"))
    if status >= 400:
        span.set_attribute("error.type", str(status))
        span.set_status(StatusCode.ERROR)
    record_headers(span, "client", "response", response.headers.raw)

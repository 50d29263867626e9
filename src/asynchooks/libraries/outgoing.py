"""An HTTP request that leaves: its span, the headers that carry the trace on, and its answer. Alike
for every client; each file says where a request begins and when its answer is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from asynchooks.libraries.http import known_method, record_headers, record_method
from asynchooks.libraries.urls import redact_url
from asynchooks.tracing import (
    Span,
    SpanKind,
    StatusCode,
    current_span,
    inject,
    is_suppressed,
    start_span,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    # Text or bytes.
    Headers = Iterable[tuple[Any, Any]]

__all__ = (
    "Outgoing",
    "add_headers",
    "finish_request",
    "headers_of",
    "remove_headers",
    "start_outgoing",
    "version_of",
)

# In a request's __dict__ while it is sent: which of its headers are ours.
_ADDED = "_asynchooks_headers"


class Outgoing(NamedTuple):
    """A request that leaves: its span, and what is to be added to its headers. Those that the
    application has set itself stay."""

    span: Span
    added: dict[str, str]


def start_outgoing(method: str, url: str, headers: Headers) -> Outgoing | None:
    """Start the span of a request to `url`; None outside of any request of ours."""
    parent = current_span()
    if parent is None or is_suppressed():
        return None
    given = [*map(_as_bytes, headers)]
    span = start_span(known_method(method), kind=SpanKind.CLIENT, parent=parent)
    if span.is_recording():
        record_method(span, method)
        parts = urlsplit(url)
        span.set_attribute("url.full", redact_url(url))
        span.set_attribute("server.address", parts.hostname or "")
        span.set_attribute("server.port", parts.port or (443 if parts.scheme == "https" else 80))
        record_headers(span, "client", "request", given)
    added = headers_of(span)
    for name, _ in given:
        added.pop(name.decode("latin-1").lower(), None)
    return Outgoing(span, added)


def headers_of(span: Span) -> dict[str, str]:
    """What carries `span` on: the headers of its trace and baggage, and its request's id."""
    headers = inject(span.context)
    if span.request is not None:
        headers["x-request-id"] = span.request.id
    return headers


def add_headers(request: Any, outgoing: Outgoing | None) -> Span | None:
    """Put our headers into a request object of a library's, whose `headers` is a mapping, until
    `remove_headers`. Returns the span."""
    if outgoing is None:
        return None
    request.headers.update(outgoing.added)
    vars(request)[_ADDED] = tuple(outgoing.added)
    return outgoing.span


def remove_headers(request: Any) -> None:
    """Take them out again when it was sent: the application does not see them, and a redirect or a
    retry of the same request has those of its own span."""
    for name in vars(request).pop(_ADDED, ()):
        del request.headers[name]


def finish_request(span: Span, status: int, version: str = "", headers: Headers = ()) -> None:
    """Record the answer's status, its HTTP version ("1.1") and headers. The caller ends the span,
    when the answer's headers are there."""
    if not span.is_recording():
        return
    span.set_attribute("http.response.status_code", status)
    if version:
        span.set_attribute("network.protocol.version", version)
    if status >= 400:
        span.set_attribute("error.type", str(status))
        span.set_status(StatusCode.ERROR)
    record_headers(span, "client", "response", map(_as_bytes, headers))


def version_of(response: Any) -> str:
    """The HTTP version of an answer of http.client's or urllib3's, which is 11 for "1.1"."""
    number = getattr(response, "version", None)
    return f"{number / 10:g}" if number else ""


def _as_bytes(header: tuple[Any, Any]) -> tuple[bytes, bytes]:
    name, value = header
    return (
        name if isinstance(name, bytes) else str(name).encode("latin-1", "replace"),
        value if isinstance(value, bytes) else str(value).encode("latin-1", "replace"),
    )

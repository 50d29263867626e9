"""What is recorded of HTTP alike for servers and clients: methods and headers.

Headers are recorded where they are asked for by name, and never one that is a credential.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.tracing import captured_headers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asynchooks.tracing import Span

__all__ = ("known_method", "record_headers", "record_method")

_METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY")
)

# Not recorded even where somebody asks for them.
_NEVER = frozenset(
    (
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
        "x-amz-security-token",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
        "x-xsrf-token",
    )
)


def known_method(method: str) -> str:
    """The method, for the name of a span: `HTTP` where it is none that HTTP knows."""
    return method if method in _METHODS else "HTTP"


def record_method(span: Span, method: str) -> None:
    """Set `http.request.method`; what is none that HTTP knows is `_OTHER`, and what was sent."""
    if method in _METHODS:
        span.set_attribute("http.request.method", method)
    else:
        span.set_attribute("http.request.method", "_OTHER")
        span.set_attribute("http.request.method_original", method)


def record_headers(
    span: Span, side: str, direction: str, headers: Iterable[tuple[bytes, bytes]]
) -> None:
    """Set `http.request.header.<name>`, or `response`, for each header that the environment asks
    for. `side` is "server" or "client", `direction` "request" or "response"."""
    wanted = captured_headers(f"{side}_{direction}")
    if not wanted:
        return
    found: dict[str, list[str]] = {}
    for raw_name, value in headers:
        name = raw_name.decode("latin-1").lower()
        if name in wanted and name not in _NEVER:
            found.setdefault(name, []).append(value.decode("latin-1"))
    for name, values in found.items():
        span.set_attribute(f"http.{direction}.header.{name}", values)

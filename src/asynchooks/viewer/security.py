"""Who may talk to the viewer: what runs on this machine, by the addresses that it is known by.

A page on the web can make a browser send requests to 127.0.0.1, also under a name of its own that
resolves to it (DNS rebinding). The one thing that it cannot forge is the Host header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ("Guard",)

_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_HEADERS = (
    (
        b"content-security-policy",
        (
            b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
            b" base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Guard:
    """Answers 403 to requests for another host than ours, and to writes from another origin."""

    def __init__(self, app: ASGIApp, *, host: str) -> None:
        self._app = app
        # Bound to all addresses on purpose: then any address is ours, but no name.
        self._allows_any_address = host in ("0.0.0.0", "::", "")  # noqa: S104 -- compared, not bound
        self._hosts = _LOOPBACK | {host}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = _hostname("//" + headers.get(b"host", ""))
        origin = headers.get(b"origin")
        if not self._is_ours(host):
            problem = f"host {host!r} is not this viewer's"
        elif (
            origin is not None and scope["method"] != "GET" and not self._is_ours(_hostname(origin))
        ):
            problem = f"origin {origin!r} may not write here"
        else:
            await self._app(scope, receive, _with_headers(send))
            return
        await JSONResponse({"error": problem}, 403)(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        if host in self._hosts:
            return True
        return self._allows_any_address and (":" in host or host.replace(".", "").isdigit())


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
        await send(message)

    return send_with_headers

"""httpx: every request that leaves, each redirect for itself, with the trace and the request id in
its headers. The span ends when the response's headers are there.

The headers are taken out again when the request was sent: the application does not see them, and a
redirect or a retry of the same request has those of its own span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import traced
from asynchooks.libraries.outgoing import (
    add_headers,
    finish_request,
    remove_headers,
    start_outgoing,
)

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

NAME = "httpx"
MODULE = "httpx"
SUPPORTED = ("0.23", "1")


def install(patches: Patches, module: ModuleType) -> None:
    for owner in (module.Client, module.AsyncClient):
        patches.wrap(owner, "_send_single_request", traced(_begin, _finish, _restore))


def _begin(client: object, request: Any) -> Span | None:
    return add_headers(
        request, start_outgoing(request.method, str(request.url), request.headers.raw)
    )


def _restore(client: object, request: Any) -> None:
    remove_headers(request)


def _finish(span: Span, response: Any) -> None:
    version = response.http_version.removeprefix("HTTP/")
    finish_request(span, response.status_code, version, response.headers.raw)

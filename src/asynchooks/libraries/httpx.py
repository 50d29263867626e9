"""httpx: every request that leaves, each redirect for itself, with the trace and the request id in
its headers. The span ends when the response's headers are there.

The headers are taken out again when the request was sent: the application does not see them, and a
redirect or a retry of the same request has those of its own span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import traced
from asynchooks.libraries.outgoing import finish_request, start_outgoing

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
    outgoing = start_outgoing(request.method, str(request.url), request.headers.raw)
    if outgoing is None:
        return None
    request.headers.update(outgoing.added)
    vars(request)[_ADDED] = tuple(outgoing.added)
    return outgoing.span


def _restore(client: object, request: Any) -> None:
    for name in vars(request).pop(_ADDED, ()):
        del request.headers[name]


def _finish(span: Span, response: Any) -> None:
    version = response.http_version.removeprefix("HTTP/")
    finish_request(span, response.status_code, version, response.headers.raw)

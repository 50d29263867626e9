"""requests: every request that leaves, each redirect for itself, with the trace and the request id
in its headers, which the application does not see. The span ends when the answer is there: with its
body, unless it is streamed. What urllib3 does for it is part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import traced, unrecorded
from asynchooks.libraries.outgoing import finish_request, start_outgoing, version_of

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

NAME = "requests"
MODULE = "requests.adapters"
SUPPORTED = ("2.20", "3")

# In a request's __dict__ while it is sent: which of its headers are ours.
_ADDED = "_asynchooks_headers"


def install(patches: Patches, module: ModuleType) -> None:
    wrapper = traced(_begin, _finish, _restore)
    patches.wrap(module.HTTPAdapter, "send", lambda send: wrapper(unrecorded(send)))


def _begin(adapter: object, request: Any, *args: Any, **kwargs: Any) -> Span | None:
    outgoing = start_outgoing(request.method, request.url, request.headers.items())
    if outgoing is None:
        return None
    request.headers.update(outgoing.added)
    vars(request)[_ADDED] = tuple(outgoing.added)
    return outgoing.span


def _restore(adapter: object, request: Any, *args: Any, **kwargs: Any) -> None:
    for name in vars(request).pop(_ADDED, ()):
        del request.headers[name]


def _finish(span: Span, response: Any) -> None:
    version = version_of(response.raw)
    finish_request(span, response.status_code, version, response.headers.items())

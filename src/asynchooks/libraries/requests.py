"""requests: every request that leaves, each redirect for itself, with the trace and the request id
in its headers, which the application does not see. The span ends when the answer is there: with its
body, unless it is streamed. What urllib3 does for it is part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import traced, unrecorded
from asynchooks.libraries.outgoing import (
    add_headers,
    finish_request,
    remove_headers,
    start_outgoing,
    version_of,
)

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Span

NAME = "requests"
MODULE = "requests.adapters"
SUPPORTED = ("2.25", "3")


def install(patches: Patches, module: ModuleType) -> None:
    wrapper = traced(_begin, _finish, _restore)
    patches.wrap(module.HTTPAdapter, "send", lambda send: wrapper(unrecorded(send)))


def _begin(adapter: object, request: Any, *args: Any, **kwargs: Any) -> Span | None:
    return add_headers(
        request, start_outgoing(request.method, request.url, request.headers.items())
    )


def _restore(adapter: object, request: Any, *args: Any, **kwargs: Any) -> None:
    remove_headers(request)


def _finish(span: Span, response: Any) -> None:
    version = version_of(response.raw)
    finish_request(span, response.status_code, version, response.headers.items())

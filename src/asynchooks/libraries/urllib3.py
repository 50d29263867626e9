"""urllib3: every request that leaves, each redirect and each retry for itself, with the trace and
the request id in its headers. The span ends when the answer's headers are there, or its whole body,
where that is read at once.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import fail, guarded, step_out
from asynchooks.libraries.http_client import RECORDED_ELSEWHERE
from asynchooks.libraries.outgoing import finish_request, start_outgoing, version_of

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.libraries.outgoing import Outgoing
    from asynchooks.tracing import Span

NAME = "urllib3"
MODULE = "urllib3.connectionpool"
SUPPORTED = ("1.26", "3")


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.HTTPConnectionPool, "_make_request", _make_make_request)
    # Until urllib3 2, they send by http.client's `request`.
    patches.replace(module.HTTPConnection, RECORDED_ELSEWHERE, True)


def _make_make_request(original: Any) -> Any:
    @functools.wraps(original)
    def _make_request(
        self: Any, conn: Any, method: str, url: str, *args: Any, headers: Any = None, **kwargs: Any
    ) -> Any:
        outgoing = guarded(original, _begin, self, method, url, headers or {})
        span = None
        if outgoing is not None:
            span = outgoing.span
            # A copy: the application's own mapping is used for the retries, too.
            headers = {**(headers or {}), **outgoing.added}
        try:
            response = original(self, conn, method, url, *args, headers=headers, **kwargs)
        except BaseException as exc:
            step_out(exc)
            fail(span, exc)
            raise
        if span is not None:
            guarded(original, _finish, span, response)
            span.end()
        return response

    return _make_request


def _begin(pool: Any, method: str, url: str, headers: Any) -> Outgoing | None:
    host = f"[{pool.host}]" if ":" in pool.host else pool.host
    port = f":{pool.port}" if pool.port else ""
    # Through a proxy, what is asked for is the whole URL.
    whole = f"{pool.scheme}://{host}{port}{url}" if url.startswith("/") else url
    return start_outgoing(method, whole, headers.items())


def _finish(span: Span, response: Any) -> None:
    finish_request(span, response.status, version_of(response), response.headers.items())

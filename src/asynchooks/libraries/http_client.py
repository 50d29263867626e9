"""http.client, and with it urllib.request: every request that leaves, each redirect for itself,
with the trace and the request id in its headers. The span ends when the answer's headers are there.

Clients that are built on its connections (urllib3) have their own spans.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import fail, guarded, step_out, traced
from asynchooks.libraries.outgoing import finish_request, start_outgoing, version_of

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.libraries.outgoing import Outgoing
    from asynchooks.tracing import Span

__all__ = ("MODULE", "NAME", "RECORDED_ELSEWHERE", "SUPPORTED", "install")

NAME = "http.client"
MODULE = "http.client"
SUPPORTED = None

# Of a class of connections: who has made it records its requests.
RECORDED_ELSEWHERE = "_asynchooks_recorded_elsewhere"

# In a connection's __dict__ from the request to its answer: the span.
_SPAN = "_asynchooks_span"
# Where a caller gives none. What it gives otherwise, None too, is http.client's to judge.
_NO_HEADERS: dict[str, str] = {}


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.HTTPConnection, "request", _make_request)
    patches.wrap(module.HTTPConnection, "getresponse", traced(_span_of, _finish))


def _make_request(original: Any) -> Any:
    @functools.wraps(original)
    def request(
        self: Any,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = _NO_HEADERS,
        **kwargs: Any,
    ) -> Any:
        outgoing = guarded(original, _begin, self, method, url, headers)
        span = None
        if outgoing is not None:
            span = outgoing.span
            headers = {**headers, **outgoing.added}
        try:
            original(self, method, url, body, headers, **kwargs)
        except BaseException as exc:
            step_out(exc)
            fail(span, exc)
            raise
        if span is not None:
            vars(self)[_SPAN] = span

    return request


def _span_of(connection: Any, *args: Any, **kwargs: Any) -> Span | None:
    span: Span | None = vars(connection).pop(_SPAN, None)
    return span


def _begin(connection: Any, method: str, url: str, headers: Any) -> Outgoing | None:
    if hasattr(connection, RECORDED_ELSEWHERE):
        return None
    if not url.startswith("/"):  # through a proxy
        return start_outgoing(method, url, headers.items())
    host = connection._tunnel_host or connection.host
    port = connection._tunnel_port if connection._tunnel_host else connection.port
    scheme = "https" if connection.default_port == 443 else "http"
    host = f"[{host}]" if ":" in host else host
    port = f":{port}" if port and port != connection.default_port else ""
    return start_outgoing(method, f"{scheme}://{host}{port}{url}", headers.items())


def _finish(span: Span, response: Any) -> None:
    finish_request(span, response.status, version_of(response), response.getheaders())

"""aiohttp's client: every request that leaves, each redirect and each retry for itself, with the
trace and the request id in its headers, which the application does not see. The span ends when the
answer's headers are there.

It is a client middleware, the innermost of each request, so that what the application's own do is
outside of it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import fail, guarded, step_out
from asynchooks.libraries.outgoing import finish_request, start_outgoing

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.libraries.outgoing import Outgoing
    from asynchooks.tracing import Span

NAME = "aiohttp"
MODULE = "aiohttp.client"
SUPPORTED = ("3.12", "4")


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.ClientSession, "_request", _make_request)


def _make_request(original: Any) -> Any:
    @functools.wraps(original)
    async def _request(self: Any, *args: Any, middlewares: Any = None, **kwargs: Any) -> Any:
        outer = self._middlewares if middlewares is None else middlewares
        try:
            return await original(self, *args, middlewares=(*outer, _send), **kwargs)
        except BaseException as exc:
            step_out(exc)
            raise

    return _request


async def _send(request: Any, handler: Any) -> Any:
    span, added = guarded(_send, _begin, request) or (None, {})
    request.headers.update(added)
    try:
        response = await handler(request)
    except BaseException as exc:
        step_out(exc)
        fail(span, exc)
        raise
    finally:
        for name in added:
            request.headers.popall(name, None)
    if span is not None:
        guarded(_send, _finish, span, response)
        span.end()
    return response


def _begin(request: Any) -> Outgoing | None:
    return start_outgoing(request.method, str(request.url), request.headers.items())


def _finish(span: Span, response: Any) -> None:
    version = f"{response.version.major}.{response.version.minor}" if response.version else ""
    finish_request(span, response.status, version, response.headers.items())

"""Starlette: what an endpoint sets is seen around it, whether it is a coroutine or a function,
behind a `BaseHTTPMiddleware` or not.

A function runs in a thread, and what is behind a `BaseHTTPMiddleware` in a task, each in a copy of
the context: what changes there is brought back. A generator that is streamed has one context for
all of its steps, and is closed in it.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from asynchooks._patching import step_out
from asynchooks.integrations.contexts import Changes, iterating_in_one_context
from asynchooks.integrations.wrapping import through

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap


class _Anyio:
    """`anyio`, as `starlette.concurrency` knows it: what runs in a thread is seen by who awaits it.
    Routes keep `run_in_threadpool` from when they were made; this is what it asks at each call."""

    def __init__(self, anyio: Any) -> None:
        self._anyio = anyio
        self.to_thread = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._anyio, name)

    async def run_sync(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        changes = Changes()
        try:
            return await self._anyio.to_thread.run_sync(changes.call, fn, *args, **kwargs)
        except BaseException as exc:
            step_out(exc)
            raise
        finally:
            changes.bring()


async def _stream_and_close(original: Any, response: Any, send: Any) -> None:
    try:
        await original(response, send)
    except BaseException as exc:
        step_out(exc)
        await _close(response.body_iterator)
        raise


async def _close(iterator: Any) -> None:
    """The client has gone away. An async generator that is given up is closed by asyncio some time
    later, in a context of its own: here it is closed in that of its steps."""
    if not inspect.isasyncgen(iterator) or iterator.ag_running:
        return
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # trio
        return
    try:
        await iterator.aclose()
    except Exception as exc:
        # In asyncio's words, which would say it.
        message = f"an error occurred during closing of asynchronous generator {iterator!r}"
        loop.call_exception_handler({"message": message, "exception": exc, "asyncgen": iterator})


class _Middleware:
    """A `BaseHTTPMiddleware` during one request: what is behind it is seen around it."""

    def __init__(self, middleware: Any) -> None:
        self._middleware = middleware
        self._changes = Changes()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._middleware, name)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """In a task of its own."""
        changes = self._changes

        async def send_and_note(message: Any) -> None:
            changes.note()
            await send(message)

        changes.begin()
        try:
            await self._middleware.app(scope, receive, send_and_note)
        except BaseException as exc:
            step_out(exc)
            raise
        finally:
            changes.note()

    async def dispatch_func(self, request: Any, call_next: Any) -> Any:
        async def call_next_and_bring(request: Any) -> Any:
            try:
                return await call_next(request)
            except BaseException as exc:
                step_out(exc)
                raise
            finally:
                self._changes.bring()

        try:
            return await self._middleware.dispatch_func(request, call_next_and_bring)
        except BaseException as exc:
            step_out(exc)
            raise

    def leave(self) -> None:
        self._changes.bring()


async def _call(original: Any, middleware: Any, scope: Any, receive: Any, send: Any) -> None:
    seen = _Middleware(middleware)
    try:
        await original(seen, scope, receive, send)
    except BaseException as exc:
        step_out(exc)
        raise
    finally:
        seen.leave()


PATCHES: dict[str, Wrap] = {
    "starlette.concurrency:anyio": _Anyio,
    "starlette.responses:iterate_in_threadpool": iterating_in_one_context,
    "starlette.responses:StreamingResponse.stream_response": through(_stream_and_close),
    "starlette.middleware.base:BaseHTTPMiddleware.__call__": through(_call),
}

"""Connections: what a protocol is told of one that was opened has the context in which the loop was
started, and not that of the request which happened to open it. So it is neither the context of
one request while it serves another, nor held as long as the connection is open.

On asyncio's own loop a connection, also one that a server has accepted, stays in the context that
it began in, as it does by itself from Python 3.15 on: before, `resume_reading()` moves it to the
one of its caller. Protocol factories are called in the context of whoever opens the connection.
"""

from __future__ import annotations

import contextvars
import sys
import types
from asyncio import selector_events
from asyncio.base_events import BaseEventLoop
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from asynchooks import _native
from asynchooks._binding import bind_argument
from asynchooks._patching import step_out

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from types import ModuleType

    from asynchooks._patching import Patches

__all__ = ("DOES", "NAME", "install")

NAME = "connections"
DOES = "a connection that is opened, and each that is accepted, belongs to no request"

# What each loop was started in, and each transport was made in.
_contexts: WeakKeyDictionary[Any, contextvars.Context] = WeakKeyDictionary()


def install(patches: Patches) -> None:
    """Wrap what makes the transports of asyncio's own loop, and what opens those of uvloop."""
    # What the stubs leave out.
    loop: Any = selector_events.BaseSelectorEventLoop
    transport: Any = selector_events._SelectorTransport  # type: ignore[attr-defined]
    note_start = partial(_native.Wrapper, action="arguments", helper=_loop_starts)
    patches.wrap(BaseEventLoop, "run_forever", note_start)
    for name in ("_make_socket_transport", "_make_ssl_transport", "_make_datagram_transport"):
        patches.wrap(loop, name, partial(_native.Wrapper, action="context", helper=_of_opened))
    if sys.version_info >= (3, 15):  # a transport is told its context
        patches.wrap(
            BaseEventLoop,
            "_create_connection_transport",
            partial(_native.Wrapper, action="arguments", helper=_tell_context),
        )
    patches.wrap(transport, "__init__", lambda fn: _native.Wrapper(fn, "call", then=_is_made))
    patches.wrap(
        transport, "_add_reader", partial(_native.Wrapper, action="context", helper=_of_transport)
    )

    def patch_uvloop(module: ModuleType) -> None:
        patches.wrap(module.Loop, "run_forever", note_start)
        for name in ("create_connection", "create_unix_connection", "create_datagram_endpoint"):
            patches.wrap(
                module.Loop, name, partial(_native.Wrapper, action="through", helper=_open)
            )

    patches.when_imported("uvloop", patch_uvloop)


def _loop_starts(loop: object, *args: Any) -> None:
    _contexts[loop] = contextvars.copy_context()


def _of_loop(loop: object) -> contextvars.Context:
    """Of a loop that ran before we were in force, it is what its thread has outside of all."""
    context = _contexts.get(loop)
    return context if context is not None else _native.outermost_context()


def _of_opened(
    loop: object, *args: Any, server: object = None, **kwargs: Any
) -> contextvars.Context | None:
    return _of_loop(loop) if server is None else None


def _tell_context(
    loop: object, *args: Any, **kwargs: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    kwargs.setdefault("context", _of_loop(loop).copy())
    return (loop, *args), kwargs


def _is_made(_: None, transport: object, /, *args: Any, **kwargs: Any) -> None:
    _contexts[transport] = contextvars.copy_context()


def _of_transport(transport: object, *args: Any) -> contextvars.Context | None:
    return _contexts.get(transport)


def _open(original: Any, loop: object, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
    """uvloop takes the context in which the coroutine runs, so that runs in another."""
    args, kwargs = bind_argument(args, kwargs, 0, "protocol_factory", contextvars.copy_context())
    coroutine = original(loop, *args, **kwargs)
    opening: Any = _run(_of_loop(loop), coroutine)
    opening.__name__, opening.__qualname__ = coroutine.__name__, coroutine.__qualname__
    return opening  # type: ignore[no-any-return]


async def _run(context: contextvars.Context, coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await _step(context.copy(), coroutine)
    except BaseException as exc:
        step_out(exc)
        step_out(exc)  # of _step, too
        raise


@types.coroutine
def _step(
    context: contextvars.Context, coroutine: Coroutine[Any, Any, Any]
) -> Generator[Any, Any, Any]:
    """What `yield from coroutine` does (PEP 380), with each step of it in `context`."""
    resume: Callable[..., Any] = coroutine.send
    argument: Any = None
    while True:
        try:
            item = context.run(resume, argument)
        except StopIteration as stop:
            return stop.value
        try:
            argument = yield item
            resume = coroutine.send
        except GeneratorExit:
            context.run(coroutine.close)
            raise
        except BaseException as exc:
            step_out(exc)
            argument = exc
            resume = coroutine.throw

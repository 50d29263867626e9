"""Node's `async_hooks` in Python: callbacks on the life of every asynchronous operation, and the
ids of what executes now.

The ids and the calls below work only while the engine is enabled; before that everything is the
top level (id 1 in the main thread, 0 in others).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from asynchooks import _native

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = (
    "AsyncHook",
    "create_hook",
    "execution_async_id",
    "execution_async_resource",
    "kinds_mask",
    "trigger_async_id",
)


class AsyncHook:
    """A set of callbacks made by `create_hook`, off until `enable()` is called."""

    __slots__ = ("_hook",)

    def __init__(self, hook: _native.Hook) -> None:
        self._hook = hook

    def enable(self) -> Self:
        """Hear of events from now on; inside a callback of a hook, from the end of the current
        event on (as in Node). Enabling twice is enabling once."""
        self._hook.enable()
        return self

    def disable(self) -> Self:
        """Hear of nothing any more; inside a callback of a hook, from the end of the current event
        on (as in Node)."""
        self._hook.disable()
        return self

    @property
    def enabled(self) -> bool:
        """Whether the hook is on. A hook that has raised is off."""
        return self._hook.enabled


def create_hook(
    *,
    init: Callable[[int, str, int, object], object] | None = None,
    before: Callable[[int], object] | None = None,
    after: Callable[[int], object] | None = None,
    destroy: Callable[[int], object] | None = None,
    settled: Callable[[int], object] | None = None,
    kinds: Iterable[str] | None = None,
    on_error: Literal["report", "raise"] = "report",
) -> AsyncHook:
    """Make a hook, as Node's `async_hooks.createHook`. It is off until its `enable()` is called.

    Args:
        init: `init(async_id, type, trigger_async_id, resource)`, when a resource was made.
            `trigger_async_id` is the id of what made it.
        before: `before(async_id)`, when a step of the resource begins, inside its context.
        after: `after(async_id)`, when the step is over; after the loop's exception handler, if the
            step failed.
        destroy: `destroy(async_id)`, some time after the resource is gone: deaths are queued and
            told after the step that runs.
        settled: `settled(async_id)`, when a future or task has its result, exception or
            cancellation (Node's `promiseResolve`).
        kinds: tell of these kinds of resource only, of `asynchooks.KINDS`. All by default.
        on_error: a callback that raises is reported through `sys.unraisablehook` and its hook is
            disabled. With `"raise"`, meant for tests, the exception leaves the operation. What a
            signal handler raises inside a callback (Ctrl-C) reaches the application all the same.

    Callbacks run in the thread where the event happens, synchronously, so their time is the
    application's. Events that no enabled hook asks for cost nothing.
    """
    for name, callback in (
        ("init", init),
        ("before", before),
        ("after", after),
        ("destroy", destroy),
        ("settled", settled),
    ):
        if callback is not None and not callable(callback):
            raise TypeError(f"`{name}` is {callback!r}, expected a function or None")
    if on_error not in ("report", "raise"):
        raise ValueError(f"`on_error` is {on_error!r}, expected 'report' or 'raise'")
    mask = kinds_mask(_native.KINDS if kinds is None else kinds)
    return AsyncHook(_native.Hook(init, before, after, destroy, settled, mask, on_error == "raise"))


def kinds_mask(kinds: Iterable[str]) -> int:
    """The core's mask of these kinds.

    Raises:
        ValueError: a kind is unknown.
    """
    mask = 0
    for kind in kinds:
        if kind not in _native.KINDS:
            raise ValueError(f"kind {kind!r} is unknown, expected some of {_native.KINDS}")
        mask |= 1 << _native.KINDS.index(kind)
    return mask


def execution_async_id() -> int:
    """The id of what executes now in this thread: a task, a callback, an `AsyncResource`.

    1 is the top level of the main thread, 0 that of any other. Costs one C call.
    """
    return _native.execution_async_id()


def trigger_async_id() -> int:
    """The id of what made that which executes now in this thread; 0 at the top level."""
    return _native.trigger_async_id()


def execution_async_resource() -> object | None:
    """The object that executes now: the `asyncio.Task`, the handle, the `AsyncResource`.

    None at the top level.
    """
    return _native.execution_async_resource()

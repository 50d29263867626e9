"""Generators that open a scope: it is in force while their own code runs, and not in the code that
steps them, whoever that is (PEP 568, for scopes).

`sys.monitoring` tells when a generator stands still and goes on, of those code objects alone that
have opened a scope; all others run as ever. A generator that opens one on behalf of its caller (of
`@contextmanager`, a test's fixture, a framework's dependency) is known by who steps it, and left
alone. Python 3.11 has no `sys.monitoring`: there, `asynchooks.isolated` is for generators.

Its limits: of two generators, the outer of which has a scope and gets its items from the inner,
the inner one is without that scope when it is closed, or something is thrown into it, behind the
back of the outer: `close()` where that stands at `yield from`, any exception where it stands at
`async for`.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any
from weakref import ref

from asynchooks import _native
from asynchooks._reporting import report_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

    from asynchooks._native import Use
    from asynchooks._patching import Patches

__all__ = ("DOES", "NAME", "install")

NAME = "generators"
DOES = "generators that open a scope have it while they run, and nobody else (from Python 3.12)"

_monitoring: Any = getattr(sys, "monitoring", None)

# Not those of debuggers, coverage, profilers and optimizers (0, 1, 2, 5).
_TOOL_IDS = (4, 3)
_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_IN_STEPS = _GENERATOR | inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE
# Who enters a context manager for somebody else: what is entered is the caller's.
_ENTERING = frozenset({"__enter__", "__aenter__", "enter_context", "enter_async_context"})
# Who steps fixtures, whose scopes are meant for the test.
_FIXTURE_RUNNERS = frozenset(
    {
        "_pytest.fixtures",
        "pytest_asyncio.plugin",
        "anyio._backends._asyncio",
        "anyio._backends._trio",
    }
)


def install(patches: Patches) -> None:
    """Isolate generators, from the first one on that opens a scope."""
    if _monitoring is not None:
        isolation = _Isolation()
        _native.watch_scopes(isolation.entered, isolation.left)
        patches.on_undo(isolation.end)


def _event(told: Callable[[_Isolation, FrameType], None]) -> Callable[..., None]:
    """A callback for `sys.monitoring`, which is told of the frame that the event is of."""

    def callback(self: _Isolation, *event: object) -> None:
        try:
            told(self, sys._getframe(1))
        except Exception:
            _report()

    return callback


def _report() -> None:
    report_once(
        "boundaries.generators.trouble",
        "a generator may have lost its scope, or lent it to who steps it",
        exc_info=True,
    )


class _Owner:
    """A generator that has scopes open, the outermost first."""

    __slots__ = ("frame", "inner", "is_suspended", "uses")

    def __init__(self, frame: FrameType) -> None:
        self.frame = frame
        self.uses: list[Use] = []
        self.is_suspended = False
        # What something was thrown into while this waited for it: it goes on without a word to
        # this.
        self.inner: list[FrameType] = []

    def suspend(self) -> None:
        if not self.is_suspended:
            self.is_suspended = True
            for use in reversed(self.uses):
                use.suspend()

    def resume(self) -> None:
        if self.is_suspended:
            self.is_suspended = False
            for use in self.uses:
                use.resume()


class _Isolation:
    """One time that the engine is on."""

    def __init__(self) -> None:
        self._tool_id: int | None = None
        self._is_refused = False
        # By frame, not by its address: that is given again.
        self._owners: dict[FrameType, _Owner] = {}
        self._inner: dict[FrameType, _Owner] = {}
        # By address, since code objects are compared by what they do.
        self._codes: dict[int, ref[CodeType]] = {}

    # ---- Scopes

    def entered(self, use: Use, frame: FrameType) -> None:
        """A scope was opened by `frame`."""
        try:
            generator = _generator_of(frame)
            if generator is not None and self._begin():
                self._own(use, generator)
        except Exception:
            _report()

    def _own(self, use: Use, generator: FrameType) -> None:
        owner = self._owners.get(generator)
        if owner is None:
            owner = self._owners[generator] = _Owner(generator)
            code = generator.f_code
            if not self._is_watched(code):
                self._codes[id(code)] = ref(code)
                self._listen(code, self._step_events())
        owner.uses.append(use)
        use.generator = generator

    def left(self, use: Use) -> None:
        """A scope that a generator has opened was left."""
        owner = self._owners.get(use.generator)  # type: ignore[arg-type] # it has one
        use.generator = None
        if owner is not None:
            owner.uses.remove(use)
            if not owner.uses:
                self._forget(owner)

    # ---- Monitoring

    def _begin(self) -> bool:
        """Whether generators are watched; the first time, begins to."""
        if self._tool_id is None and not self._is_refused:
            free = [number for number in _TOOL_IDS if _monitoring.get_tool(number) is None]
            if not free:
                self._is_refused = True
                report_once(
                    "boundaries.generators",
                    "scopes in generators are seen by who steps them: both tool ids of "
                    "sys.monitoring that are not reserved (3, 4) are taken; free one, or use "
                    "asynchooks.isolated",
                )
                return False
            self._tool_id = free[0]
            _monitoring.use_tool_id(self._tool_id, "asynchooks")
            for event, callback in self._callbacks():
                _monitoring.register_callback(self._tool_id, event, callback)
            # What is thrown is not told of one code object alone before 3.15. Nothing but what
            # throws into generators pays for it.
            _monitoring.set_events(self._tool_id, _monitoring.events.PY_THROW)
        return self._tool_id is not None

    def end(self) -> None:
        """Let go of everything. What stands still has no store when it goes on."""
        _native.watch_scopes(None, None)
        if self._tool_id is None:
            return
        _monitoring.set_events(self._tool_id, 0)
        for code in [code() for code in self._codes.values()]:
            if code is not None:
                self._listen(code, 0)
        for event, _ in self._callbacks():
            _monitoring.register_callback(self._tool_id, event, None)
        _monitoring.free_tool_id(self._tool_id)
        self._owners.clear()
        self._inner.clear()
        self._is_refused = True

    def _callbacks(self) -> Iterator[tuple[int, Any]]:
        events = _monitoring.events
        yield events.PY_YIELD, self._suspended
        yield events.PY_RESUME, self._resumed
        yield events.PY_THROW, self._thrown
        yield events.PY_RETURN, self._returned

    def _is_watched(self, code: CodeType) -> bool:
        known = self._codes.get(id(code))
        return known is not None and known() is code

    def _step_events(self) -> int:
        events = _monitoring.events
        return int(events.PY_YIELD | events.PY_RESUME | events.PY_RETURN)

    def _listen(self, code: CodeType, events: int) -> None:
        assert self._tool_id is not None
        _monitoring.set_local_events(self._tool_id, code, events)

    # ---- Steps

    @_event
    def _suspended(self, frame: FrameType) -> None:
        owner = self._owners.get(frame)
        if owner is not None:
            owner.suspend()
        owner = self._inner.get(frame)
        if owner is not None:
            owner.suspend()
            self._forget_inner(owner)

    @_event
    def _resumed(self, frame: FrameType) -> None:
        owner = self._owners.get(frame)
        if owner is not None:
            owner.resume()
            self._forget_inner(owner)

    @_event
    def _thrown(self, frame: FrameType) -> None:
        if not self._owners:
            return
        passed: list[FrameType] = []
        suspended: list[_Owner] = []
        stepped: FrameType | None = frame
        while stepped is not None and stepped.f_code.co_flags & _IN_STEPS:
            owner = self._owners.get(stepped)
            if owner is not None:
                if not owner.is_suspended:
                    break
                suspended.append(owner)
                for inner in passed:
                    self._pass_through(owner, inner)
            passed.append(stepped)
            stepped = stepped.f_back
        for owner in reversed(suspended):
            owner.resume()

    @_event
    def _returned(self, frame: FrameType) -> None:
        """With scopes open, which somebody else is to leave."""
        owner = self._owners.get(frame)
        if owner is not None:
            for use in owner.uses:
                use.generator = None
            self._forget(owner)

    # ---- What an owner waits for, when something is thrown into that

    def _pass_through(self, owner: _Owner, inner: FrameType) -> None:
        if inner not in self._inner and inner not in self._owners:
            self._inner[inner] = owner
            owner.inner.append(inner)
            if not self._is_watched(inner.f_code):
                self._listen(inner.f_code, _monitoring.events.PY_YIELD)

    def _forget_inner(self, owner: _Owner) -> None:
        while owner.inner:
            inner = owner.inner.pop()
            self._inner.pop(inner, None)
            if not self._is_watched(inner.f_code):
                self._listen(inner.f_code, 0)

    def _forget(self, owner: _Owner) -> None:
        self._owners.pop(owner.frame, None)
        self._forget_inner(owner)


def _generator_of(frame: FrameType | None) -> FrameType | None:
    """The generator whose scope it is that `frame` opens; None where it is no generator's."""
    while frame is not None:
        code = frame.f_code
        stepper = frame.f_back
        if code.co_name not in _ENTERING:
            if not code.co_flags & _GENERATOR:
                return None
            if stepper is None or stepper.f_code.co_name not in _ENTERING:
                is_fixture = (
                    stepper is not None and stepper.f_globals.get("__name__") in _FIXTURE_RUNNERS
                )
                return None if is_fixture else frame
        frame = stepper
    return None

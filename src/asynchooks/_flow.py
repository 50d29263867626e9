"""Running somebody's code with a context variable set exactly while that code runs, step by step:
what `AsyncLocalStorage.run` does for coroutines and generators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    import contextvars
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator

__all__ = ("MISSING", "Flow")

P = ParamSpec("P")
R = TypeVar("R")

# "No value", also as a value that was set. Not None, since None is a value like any other.
MISSING: Any = object()


class Flow:
    """One flow of code and its value of a variable. What the code sets itself, it finds again at
    its next step; what surrounds the step never sees it."""

    __slots__ = ("_value", "_variable")

    def __init__(self, variable: contextvars.ContextVar[Any], value: Any) -> None:
        self._variable = variable
        self._value = value

    def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """One step. Set and set back, not `Token.reset`: the two may be in different contexts."""
        variable = self._variable
        outer = variable.get(MISSING)
        variable.set(self._value)
        try:
            return fn(*args, **kwargs)
        finally:
            self._value = variable.get(MISSING)
            variable.set(outer)

    async def run_coroutine(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """`coroutine`, each of its steps in this flow."""
        result: R = await _Steps(self, coroutine)
        return result

    def run_generator(self, generator: Generator[Any, Any, R]) -> Generator[Any, Any, R]:
        """`generator`, each of its steps in this flow."""
        result: R = yield from self._step(generator)
        return result

    async def run_async_generator(
        self, generator: AsyncGenerator[Any, Any]
    ) -> AsyncGenerator[Any, Any]:
        """`generator`, each of its steps in this flow."""
        resume: Callable[..., Any] = generator.asend
        argument: Any = None
        try:
            while True:
                try:
                    item = await _Steps(self, resume(argument))
                except StopAsyncIteration:
                    return
                try:
                    argument = yield item
                    resume = generator.asend
                except GeneratorExit:
                    raise
                except BaseException as exc:
                    argument = exc
                    resume = generator.athrow
        finally:
            await _Steps(self, generator.aclose())

    def _step(self, inner: Any) -> Generator[Any, Any, Any]:
        """What `yield from inner` does (PEP 380), with each step of `inner` in this flow."""
        resume: Callable[..., Any] = inner.send
        argument: Any = None
        while True:
            try:
                item = self.run(resume, argument)
            except StopIteration as stop:
                return stop.value
            try:
                argument = yield item
                resume = inner.send
            except GeneratorExit:
                self.run(inner.close)
                raise
            except BaseException as exc:
                argument = exc
                resume = inner.throw


class _Steps:
    """An awaitable that drives another in a flow."""

    __slots__ = ("_flow", "_inner")

    def __init__(self, flow: Flow, inner: Any) -> None:
        self._flow = flow
        self._inner = inner

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._inner
        return self._flow._step(inner if hasattr(inner, "send") else inner.__await__())

"""Running somebody's code step by step, each step in surroundings of its own: how a coroutine or a
generator has a store, or a context, exactly while its code runs, whoever steps it."""

from __future__ import annotations

import contextvars
import functools
import inspect
import types
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from asynchooks import _native
from asynchooks._native import MISSING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

__all__ = ("ContextFlow", "Flow", "IsolatedFlow", "NeutralFlow", "StoreFlow", "flowing", "name_of")

P = ParamSpec("P")
R = TypeVar("R")


class Flow:
    """One flow of code: what surrounds each of its steps. What the code sets itself, it finds again
    at its next step; who steps it never sees it."""

    __slots__ = ()

    def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """One step."""
        raise NotImplementedError

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function of any kind in this flow."""
        return self.carry(self.run(fn, *args, **kwargs))

    def carry(self, result: R) -> R:
        """What a call has given: a coroutine or generator, to run in this flow; else as it is."""
        carried: Any = result
        if isinstance(result, types.CoroutineType):
            carried = self.run_coroutine(result)
        elif isinstance(result, types.AsyncGeneratorType):
            carried = self.run_async_generator(result)
        elif isinstance(result, types.GeneratorType):
            carried = (
                self.run_coroutine(result)
                if inspect.isawaitable(result)
                else self.run_generator(result)
            )
        return carried  # type: ignore[no-any-return] # of the kind that it was

    def run_coroutine(self, coroutine: Any) -> Any:
        """`coroutine`, each of its steps in this flow. It keeps its name."""
        carried: Any = self._await(coroutine)
        carried.__name__ = coroutine.__name__
        carried.__qualname__ = coroutine.__qualname__
        return carried

    def run_generator(self, generator: Generator[Any, Any, R]) -> Generator[Any, Any, R]:
        """`generator`, each of its steps in this flow."""
        result: R = yield from self.steps(generator)
        return result

    def run_async_generator(self, generator: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
        """`generator`, each of its steps in this flow."""
        carried: AsyncGenerator[Any, Any] = _async_generator_function(lambda: (self, generator))()
        return carried

    async def _await(self, coroutine: Any) -> Any:
        return await self.steps(coroutine)

    def steps(self, inner: Any) -> _Steps:
        """What to `await`, or `yield from`, in the place of `inner`."""
        return _Steps(self, inner)


class _Steps:
    """Stands in for something that is awaited or delegated to, and makes each of its steps in a
    flow. Who looks where the code stands (`cr_await`, `gi_frame`) is shown what it stands in for.
    """

    __slots__ = ("_flow", "_inner")

    def __init__(self, flow: Flow, inner: Any) -> None:
        self._flow = flow
        self._inner = inner

    def __await__(self) -> Self:
        return self

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return self._flow.run(self._inner.send, None)

    def send(self, value: Any) -> Any:
        return self._flow.run(self._inner.send, value)

    def throw(self, *exc_info: Any) -> Any:
        return self._flow.run(self._inner.throw, *exc_info)

    def close(self) -> None:
        self._flow.run(self._inner.close)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class StoreFlow(Flow):
    """A flow with its own value of one variable."""

    __slots__ = ("_value", "_variable")

    def __init__(self, variable: contextvars.ContextVar[Any], value: Any) -> None:
        self._variable = variable
        self._value = value

    def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        variable = self._variable
        # A step begins and ends in one context.
        token = variable.set(self._value)
        try:
            return fn(*args, **kwargs)
        finally:
            self._value = variable.get(MISSING)
            variable.reset(token)


class ContextFlow(Flow):
    """A flow with a context of its own, and, with a resource, as a step of that."""

    __slots__ = ("_context", "_resource")

    def __init__(
        self, context: contextvars.Context, resource: _native.Resource | None = None
    ) -> None:
        self._context = context
        self._resource = resource

    def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        if self._resource is None:
            return self._context.run(fn, *args, **kwargs)
        result: R = self._resource.run_in_async_scope(self._context.run, fn, *args, **kwargs)
        return result


class NeutralFlow(ContextFlow):
    """A flow of nobody's: it begins in an empty context, and is a root of its own."""

    __slots__ = ()

    def __init__(self, name: str) -> None:
        nobody = contextvars.Context()
        resource = nobody.run(_native.call_detached, _native.Resource, name, None, False)
        super().__init__(nobody, resource)


class IsolatedFlow(Flow):
    """A flow that has what whoever steps it has, but for what it has set itself, of which they see
    nothing. All of its steps run in one context, so that its tokens stay good."""

    __slots__ = ("_context", "_given")

    def __init__(self) -> None:
        self._context = contextvars.Context()
        # Of each variable, what we have put into the flow's context last, and what takes it out
        # again: what the flow has there instead is its own.
        self._given: dict[contextvars.ContextVar[Any], tuple[Any, contextvars.Token[Any]]] = {}

    def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        outside = contextvars.copy_context()
        return self._context.run(self._step, outside, fn, *args, **kwargs)

    def _step(
        self,
        outside: contextvars.Context,
        fn: Callable[P, R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        given = self._given
        for variable in [variable for variable in given if variable not in outside]:
            value, token = given.pop(variable)
            if variable.get(MISSING) is value:
                variable.reset(token)
        for variable, value in outside.items():
            here = variable.get(MISSING)
            if variable in given:
                old, token = given[variable]
                if here is old is not value:
                    variable.set(value)
                    given[variable] = value, token
            elif here is MISSING:
                given[variable] = value, variable.set(value)
        return fn(*args, **kwargs)


def name_of(work: Any) -> str:
    """What a resource that runs `work` is called."""
    return getattr(work, "__qualname__", None) or type(work).__qualname__


def flowing(work: Any, start: Callable[[], Flow], who: str) -> Any:
    """`work` in a flow that `start()` gives: a coroutine or generator as it is; a function of any
    kind with each of its calls in another flow, which begins as the call's own code does. Of the
    same kind as `work`, with its name and signature.

    Raises:
        TypeError: it is neither; says that `who` got it.
    """
    if isinstance(work, (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)):
        return start().carry(work)
    if not callable(work):
        raise TypeError(f"{who}() got {work!r}, expected a function, coroutine or generator")
    return functools.wraps(work)(_flowing_function(work, start))


def _flowing_function(fn: Any, start: Callable[[], Flow]) -> Any:
    wrapper: Any
    if inspect.isasyncgenfunction(fn):
        wrapper = _async_generator_function(lambda *args, **kwargs: (start(), fn(*args, **kwargs)))
    elif inspect.iscoroutinefunction(fn):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await start().run_coroutine(fn(*args, **kwargs))

    elif inspect.isgeneratorfunction(fn):

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return (yield from start().steps(fn(*args, **kwargs)))

    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return start().call(fn, *args, **kwargs)

    return wrapper


def _async_generator_function(begin: Callable[..., tuple[Flow, Any]]) -> Any:
    """A function whose async generator does what that does which `begin` gives for the same
    arguments, in the flow that it gives."""

    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        flow, generator = begin(*args, **kwargs)
        resume: Callable[..., Any] = generator.asend
        argument: Any = None
        try:
            while True:
                try:
                    item = await flow.steps(resume(argument))
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
            await flow.steps(generator.aclose())

    return wrapper

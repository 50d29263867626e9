"""The worlds that a program runs in: asyncio's loop and uvloop's, with the engine off, on, and on
with hooks; and the model."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import selectors
import threading
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

import uvloop
from tests.model import semantics
from tests.model.interpreter import run_in_loop
from tests.model.programs import count_threads
from tests.model.scheduling import ModelLoop

import asynchooks
from asynchooks import AsyncResource, _native

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.model.programs import Body


@dataclass
class Outcome:
    """What a run shows.

    Attributes:
        log: what the program itself has noted.
        events: what hooks are told, and when somebody looked.
        looks: what was alive, and what executed, at each look.
    """

    log: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    looks: list[Any] = field(default_factory=list)


class _OrderedMixin:
    """A task with the same place in a set in every run: a group cancels its tasks in that order."""

    def __init__(self, coroutine: Any, *, serial: int, **options: Any) -> None:
        self._serial = serial
        super().__init__(coroutine, **options)  # type: ignore[call-arg] # a task's

    def __hash__(self) -> int:
        return self._serial


class OrderedTask(_OrderedMixin, asyncio.Task[Any]):
    """A subclass of the task in C."""


class OrderedModelTask(_OrderedMixin, semantics.ModelTask):
    """Its like in the model."""


class _World:
    """What all worlds have in common."""

    def __init__(self, loops: list[Any], *, has_time: bool) -> None:
        self.has_time = has_time
        self.outcome = Outcome()
        self._loops = loops
        self._unused = list(loops)
        self._serial = 0

    def take_loop(self) -> Any:
        return self._unused.pop()

    def make_ordered_task(self, coroutine: Any, loop: Any, **options: Any) -> Any:
        self._serial += 1
        return self._make_ordered(coroutine, loop=loop, serial=self._serial, **options)

    def _make_ordered(self, coroutine: Any, **options: Any) -> Any:
        return OrderedTask(coroutine, **options)

    def make_task(self, coroutine: Any, loop: Any, **options: Any) -> Any:
        return asyncio.Task(coroutine, loop=loop, **options)

    def make_resource(self, trigger: int | None) -> Any:
        return AsyncResource("Made", trigger_async_id=trigger)

    def trigger_of(self, resource: Any) -> int:
        trigger: int = resource.async_id()
        return trigger

    def start_root(self) -> None:
        pass

    def run_thread(self, target: Callable[[], object]) -> None:
        errors: list[BaseException] = []

        def run() -> None:
            try:
                target()
            except BaseException as exc:
                errors.append(exc)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if errors:
            raise errors.pop()

    def observe(self) -> None:
        gc.collect()

    def failed(self) -> None:
        pass

    def owns(self, owner: str, task: Any) -> None:
        pass

    def stands_for(self, future: Any, futures: Sequence[Any]) -> None:
        pass

    def waits_via(self, futures: Sequence[Any]) -> None:
        pass

    def run(self, program: Body) -> Outcome:
        """Runs a program to its end. Afterwards nothing of it is alive."""
        try:
            run_in_loop(self, self.take_loop(), self.outcome.log, "main", program)
        finally:
            for loop in self._loops:
                loop.close()
            self._loops.clear()
            self._unused.clear()
        gc.collect()
        return self.outcome


class PlainWorld(_World):
    """asyncio or uvloop, without us."""


class TrackedWorld(_World):
    """asyncio or uvloop, with the engine on."""

    def __init__(self, loops: list[Any], *, has_time: bool) -> None:
        super().__init__(loops, has_time=has_time)
        # What is made from here on is the program's.
        self.first_id = AsyncResource("Before").async_id()

    def number(self, async_id: int) -> int:
        """Ids, as the model counts them."""
        if async_id > self.first_id:
            return async_id - self.first_id
        return {0: semantics.NOBODY, 1: semantics.MAIN}[async_id]

    def start_root(self) -> None:
        _native.start_root()

    def failed(self) -> None:
        self.outcome.looks.append(("failed", self.number(asynchooks.execution_async_id())))

    def observe(self) -> None:
        super().observe()
        look = len(self.outcome.looks)
        self.outcome.looks.append(
            (
                self.number(asynchooks.execution_async_id()),
                self.number(asynchooks.trigger_async_id()),
                self.number(_native.root_async_id()),
                [
                    self._row(info)
                    for info in asynchooks.resources()
                    if info.async_id > self.first_id
                ],
            )
        )
        self.outcome.events.append(("look", look))

    def _row(self, info: asynchooks.ResourceInfo) -> tuple[Any, ...]:
        number = self.number
        return (
            number(info.async_id),
            info.kind,
            number(info.created_by),
            number(info.root),
            number(info.woken_by),
            number(info.cancelled_by),
            info.state,
            info.steps,
            tuple(sorted(number(waiter) for waiter in info.awaited_by)),
            getattr(info.owned_by, "owner", None),
        )


class HookedWorld(TrackedWorld):
    """The same, with hooks that hear everything."""

    def run(self, program: Body) -> Outcome:
        tell = self._tell
        hook = asynchooks.create_hook(
            init=lambda async_id, type_name, trigger, resource: tell(
                "init", async_id, type_name, self.number(trigger)
            ),
            before=lambda async_id: tell("before", async_id),
            after=lambda async_id: tell("after", async_id),
            settled=lambda async_id: tell("settled", async_id),
            destroy=lambda async_id: tell("destroy", async_id),
            on_error="raise",
        )
        hook.enable()
        try:
            super().run(program)
            AsyncResource("After").run_in_async_scope(lambda: None)  # which tells all deaths
        finally:
            hook.disable()
        after = max(event[1] for event in self.outcome.events if event[0] == "init")
        self.outcome.events = [
            event for event in self.outcome.events if event[0] == "look" or event[1] != after
        ]
        return self.outcome

    def _tell(self, event: str, async_id: int, *details: Any) -> None:
        if async_id > self.first_id:
            self.outcome.events.append((event, self.number(async_id), *details))


class ModelWorld(_World):
    """The model."""

    def __init__(self, *, loops: int, has_time: bool, is_uvloop: bool) -> None:
        self.model = semantics.Model(is_uvloop=is_uvloop)
        super().__init__([ModelLoop(self.model) for _ in range(loops)], has_time=has_time)

    def _make_ordered(self, coroutine: Any, **options: Any) -> Any:
        return OrderedModelTask(coroutine, **options)

    def make_task(self, coroutine: Any, loop: Any, **options: Any) -> Any:
        return semantics.ModelTask(coroutine, loop=loop, **options)

    def make_resource(self, trigger: int | None) -> Any:
        return semantics.ModelResource(self.model, "Made", trigger)

    def start_root(self) -> None:
        self.model.start_root()

    def run_thread(self, target: Callable[[], object]) -> None:
        token = semantics.Token()
        record = self.model.born("Thread", token)
        del token

        def run() -> None:
            alive = semantics.Token()
            record.object = weakref.ref(alive)
            with self.model.step(record):
                target()

        super().run_thread(run)

    def failed(self) -> None:
        self.outcome.looks.append(("failed", self.model.execution_id()))

    def observe(self) -> None:
        super().observe()
        look = len(self.outcome.looks)
        model = self.model
        self.outcome.looks.append(
            (model.execution_id(), model.trigger_id(), model.root(), model.snapshot())
        )
        model.events.append(("look", look))

    def owns(self, owner: str, task: Any) -> None:
        task.belongs_to(owner)

    def stands_for(self, future: Any, futures: Sequence[Any]) -> None:
        future.stands_for(futures)

    def waits_via(self, futures: Sequence[Any]) -> None:
        task: Any = asyncio.current_task()
        task.via = tuple(futures)

    def run(self, program: Body) -> Outcome:
        with mock.patch("asyncio.tasks._GatheringFuture", semantics.ModelGathering):
            super().run(program)
        self.outcome.events = self.model.events
        return self.outcome


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's loop, whose time passes when there is nothing else to do."""

    def __init__(self) -> None:
        self._virtual_now = 0.0
        super().__init__(_NothingToWaitFor(self))
        self._clock_resolution = 1e-9  # what is due now, is due

    def time(self) -> float:
        return self._virtual_now

    def pass_time(self, seconds: float | None) -> None:
        assert seconds is not None, "the program waits for ever"
        self._virtual_now += max(0.0, seconds)

    def _write_to_self(self) -> None:
        """Nobody waits for it."""


class _NothingToWaitFor(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = weakref.proxy(loop)

    def select(self, timeout: float | None = None) -> list[Any]:
        self._loop.pass_time(timeout)
        return []


LOOPS: Mapping[str, Callable[[], Any]] = {"asyncio": VirtualLoop, "uvloop": uvloop.new_event_loop}


@contextlib.contextmanager
def engine() -> Iterator[None]:
    asynchooks.enable()
    try:
        yield
    finally:
        asynchooks.disable()


def run_plain(program: Body, loop: str) -> Outcome:
    return PlainWorld(_make_loops(program, loop), has_time=loop == "asyncio").run(program)


def run_tracked(program: Body, loop: str) -> Outcome:
    with engine():
        return TrackedWorld(_make_loops(program, loop), has_time=loop == "asyncio").run(program)


def run_hooked(program: Body, loop: str) -> Outcome:
    with engine():
        return HookedWorld(_make_loops(program, loop), has_time=loop == "asyncio").run(program)


def run_model(program: Body, loop: str) -> Outcome:
    world = ModelWorld(
        loops=1 + count_threads(program), has_time=loop == "asyncio", is_uvloop=loop == "uvloop"
    )
    return world.run(program)


def _make_loops(program: Body, loop: str) -> list[Any]:
    return [LOOPS[loop]() for _ in range(1 + count_threads(program))]

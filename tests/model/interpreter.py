"""Runs a program, with asyncio's own functions, in a world: a real loop's, or the model's."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Protocol

from tests.model import programs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence

    from tests.model.programs import Body, Op


class Failure(Exception):
    """What programs raise."""


class World(Protocol):
    """What differs between the runs of a program."""

    has_time: bool

    def take_loop(self) -> Any:
        """A loop that nothing has run in yet."""

    def make_task(self, coroutine: Any, loop: Any, **options: Any) -> Any: ...
    def make_ordered_task(self, coroutine: Any, loop: Any, **options: Any) -> Any:
        """One whose place in a set is the same in every run."""

    def make_resource(self, trigger: int | None) -> Any: ...
    def trigger_of(self, resource: Any) -> int:
        """The id that another resource may name as its trigger."""

    def start_root(self) -> None: ...
    def run_thread(self, target: Callable[[], object]) -> None: ...
    def observe(self) -> None:
        """Looks at what is alive, and at what executes now."""

    def failed(self) -> None:
        """A loop's exception handler was called for a callback."""

    # What the model is told, since it looks into nothing.
    def owns(self, owner: str, task: Any) -> None: ...
    def stands_for(self, future: Any, futures: Sequence[Any]) -> None: ...
    def waits_via(self, futures: Sequence[Any]) -> None: ...


class Env:
    """What a program has, in one loop."""

    def __init__(self, world: World, loop: Any, log: list[tuple[Any, ...]], name: str) -> None:
        self.world = world
        self.loop = loop
        self.log = log
        self.name = name
        self.tasks: list[Any] = []
        self.futures: list[Any] = []
        self.handles: list[Any] = []
        self.resources: list[Any] = []
        self.queue: asyncio.Queue[int] = asyncio.Queue(1)
        self.event = asyncio.Event()
        self.groups = 0
        self.threads = 0
        self._is_ordered = False
        loop.set_task_factory(self._make_task)
        loop.set_exception_handler(self._on_error)

    def note(self, who: object, *what: Any) -> None:
        self.log.append((self.name, who, *what))

    def spawn(self, body: Body, *, is_eager: bool = False, group: Any = None) -> Any:
        number = len(self.tasks)
        self.tasks.append(None)
        coroutine = run_body(self, number, body)
        if group is not None:
            self._is_ordered = True
            try:
                task = group.create_task(coroutine)
            finally:
                self._is_ordered = False
        elif is_eager:
            task = self.world.make_task(coroutine, self.loop, eager_start=True)
        else:
            task = self.loop.create_task(coroutine)
        self.tasks[number] = task
        return task

    def _make_task(self, loop: Any, coroutine: Any, **options: Any) -> Any:
        # In a group, whose tasks are in a set.
        if self._is_ordered:
            return self.world.make_ordered_task(coroutine, loop, **options)
        return self.world.make_task(coroutine, loop, **options)

    def _on_error(self, loop: object, context: dict[str, Any]) -> None:
        if "handle" in context:
            self.note("loop", type(context["exception"]).__name__)
            self.world.failed()
        else:
            self.note("unseen", context["message"], type(context.get("exception")).__name__)

    def list_of(self, what: str) -> list[Any]:
        found: list[Any] = getattr(self, what + "s")
        return found

    def pick(self, what: str, number: int) -> Any:
        things = self.list_of(what)
        return things[number % len(things)] if things else None

    def younger_task(self, than: int, number: int) -> Any:
        """Tasks wait for younger ones only, so that they never wait in a circle."""
        younger = self.tasks[than + 1 :]
        return younger[number % len(younger)] if younger else None

    def clear(self) -> None:
        for things in (self.tasks, self.futures, self.handles, self.resources):
            things.clear()


async def drive(env: Env, program: Body) -> None:
    """Runs a program to its end: when all is quiet, tasks that still wait are cancelled."""
    env.spawn(program)
    for _ in range(100):
        await _until_quiet(env)
        pending = [task for task in env.tasks if task is not None and not task.done()]
        if not pending:
            break
        env.world.observe()
        for task in pending:
            env.note("driver", "cancels")
            task.cancel()
        del pending, task
    else:
        raise AssertionError("the program does not end")
    for number, task in enumerate(env.tasks):
        if task is not None:
            env.note("end of", number, *_outcome(task))
    task = None
    env.world.observe()
    env.clear()
    await _until_quiet(env)
    env.world.observe()


async def _until_quiet(env: Env) -> None:
    if env.world.has_time:
        await asyncio.sleep(1000)
    else:
        for _ in range(50):
            await asyncio.sleep(0)


def _outcome(future: Any) -> tuple[Any, ...]:
    if not future.done():
        return ("pending",)
    if future.cancelled():
        return ("cancelled",)
    exception = future.exception()
    return ("result", future.result()) if exception is None else ("failed", describe(exception))


def describe(exception: BaseException) -> Any:
    if isinstance(exception, BaseExceptionGroup):
        return [describe(inner) for inner in exception.exceptions]
    # Messages name objects by their address.
    return type(exception).__name__


async def run_body(env: Env, me: int, body: Body) -> int:
    try:
        for op in body.ops:
            await run(env, me, op)
    except asyncio.CancelledError:
        env.note(me, "is cancelled")
        if not body.swallows:
            raise
    finally:
        for op in body.cleanup:
            await run(env, me, op)
    return me


async def run(env: Env, me: int, op: Op) -> None:
    """One operation of a task. Its errors are noted, unless they are its purpose."""
    if isinstance(op, programs.Fail):
        run_sync(env, me, op)
    try:
        await _run(env, me, op)
    except Exception as exc:
        env.note(me, type(op).__name__, describe(exc))


async def _run(env: Env, me: int, op: Op) -> None:
    world = env.world
    match op:
        case programs.Sleep(delay):
            await asyncio.sleep(delay)
        case programs.Await():
            await _await(env, me, op)
        case programs.Gather(numbers, bodies, returns_exceptions):
            tasks = [env.spawn(body) for body in bodies] + _younger(env, me, numbers)
            if tasks:
                future = asyncio.gather(*tasks, return_exceptions=returns_exceptions)
                world.stands_for(future, tasks)
                results = await future
                env.note(me, "gathered", *(describe_result(result) for result in results))
        case programs.Wait():
            await _wait(env, me, op)
        case programs.Group(bodies, ops):
            await _group(env, me, bodies, ops)
        case programs.Get():
            env.note(me, "got", await env.queue.get())
        case programs.WaitEvent():
            await env.event.wait()
        case programs.Timeout(delay, ops):
            async with asyncio.timeout(delay):
                for inner in ops:
                    await run(env, me, inner)
        case programs.Iterate(items, left_after, is_closed):
            generator = generate(env, me, items)
            try:
                await _iterate(env, me, generator, left_after)
                if is_closed:
                    await generator.aclose()
            finally:
                del generator
        case _:
            run_sync(env, me, op)


def describe_result(result: Any) -> Any:
    return describe(result) if isinstance(result, BaseException) else result


def _younger(env: Env, me: int, numbers: Sequence[int]) -> list[Any]:
    found = [env.younger_task(me, number) for number in numbers]
    return [task for task in found if task is not None]


async def _await(env: Env, me: int, op: programs.Await) -> None:
    what = env.younger_task(me, op.number) if op.of == "task" else env.pick("future", op.number)
    if what is None:
        return
    inner = what
    if op.is_shielded:
        what = asyncio.shield(inner)
        if what is not inner:
            env.world.stands_for(what, [inner])
    del inner
    if op.timeout is None:
        result = await what
    else:
        env.world.waits_via([what])
        try:
            result = await asyncio.wait_for(what, op.timeout)
        finally:
            env.world.waits_via([])
    env.note(me, "awaited", result)


async def _wait(env: Env, me: int, op: programs.Wait) -> None:
    futures = [env.pick("future", number) for number in op.futures]
    found = _younger(env, me, op.tasks) + [future for future in futures if future is not None]
    # wait() puts them in a set: of several that are done, nobody knows whose turn it is.
    awaited = [future for future in found if not future.done()]
    awaited += [future for future in found if future.done()][:1]
    del found
    if not awaited:
        return
    env.world.waits_via(awaited)
    try:
        done, _ = await asyncio.wait(awaited, timeout=op.timeout, return_when=op.when)
    finally:
        env.world.waits_via([])
    env.note(me, "waited", *(future in done for future in awaited))


async def _group(env: Env, me: int, bodies: Sequence[Body], ops: Sequence[Op]) -> None:
    env.groups += 1
    owner = f"group {env.groups}"
    tasks = []
    try:
        async with asyncio.TaskGroup() as group:
            group.owner = owner  # type: ignore[attr-defined] # how an observer knows it
            try:
                for body in bodies:
                    task = env.spawn(body, group=group)
                    env.world.owns(owner, task)
                    tasks.append(task)
                for op in ops:
                    await run(env, me, op)
            finally:
                env.world.waits_via(tasks)
    finally:
        env.world.waits_via([])


async def generate(env: Env, me: int, items: int) -> AsyncGenerator[int, None]:
    try:
        for item in range(items):
            await asyncio.sleep(0)
            yield item
    finally:
        env.note(me, "generator ends")


async def _iterate(env: Env, me: int, generator: Any, left_after: int) -> None:
    count = 0
    async for item in generator:
        env.note(me, "item", item)
        count += 1
        if count > left_after:
            break


def run_sync(env: Env, me: object, op: Op) -> None:
    """One operation of a callback, or of a task."""
    world = env.world
    match op:
        case programs.Spawn(body, is_eager):
            env.spawn(body, is_eager=is_eager)
        case programs.MakeFuture():
            env.futures.append(env.loop.create_future())
        case programs.Settle(number, how):
            _settle(env, me, number, how)
        case programs.CancelTask(number):
            task = env.pick("task", number)
            if task is not None:
                env.note(me, "cancels", number % len(env.tasks), task.cancel())
        case programs.Call(ops, delay, is_threadsafe):
            callback = _callback(env, ops)
            if delay is not None:
                env.handles.append(env.loop.call_later(delay, callback))
            elif is_threadsafe:
                env.handles.append(env.loop.call_soon_threadsafe(callback))
            else:
                env.handles.append(env.loop.call_soon(callback))
        case programs.CancelHandle(number):
            handle = env.pick("handle", number)
            if handle is not None:
                handle.cancel()
        case programs.WhenDone(of, number, ops, is_removed):
            future = env.pick(of, number)
            if future is not None:
                callback = _callback(env, ops)
                future.add_done_callback(callback)
                if is_removed:
                    env.note(me, "removed", future.remove_done_callback(callback))
        case programs.MakeResource(has_trigger):
            last = env.resources[-1] if env.resources and has_trigger else None
            trigger = world.trigger_of(last) if last is not None else None
            env.resources.append(world.make_resource(trigger))
        case programs.Scope(number, ops):
            resource = env.pick("resource", number)
            if resource is not None:
                resource.run_in_async_scope(_run_all, env, "scope", ops)
        case programs.EmitDestroy(number):
            resource = env.pick("resource", number)
            if resource is not None:
                resource.emit_destroy()
        case programs.Put():
            with contextlib.suppress(asyncio.QueueFull):
                env.queue.put_nowait(len(env.log))
        case programs.SetEvent(is_set):
            if is_set:
                env.event.set()
            else:
                env.event.clear()
        case programs.Drop(what, number):
            _drop(env, what, number)
        case programs.Fail(how):
            env.note(me, "raises")
            raise asyncio.CancelledError if how == "cancelled" else Failure
        case programs.StartRoot():
            world.start_root()
        case programs.RunThread(body):
            _run_thread(env, body)
        case programs.Observe():
            env.note(me, "observes")
            world.observe()
        case _:
            raise AssertionError(op)


def _callback(env: Env, ops: Sequence[Op]) -> Callable[..., None]:
    def callback(future: Any = None) -> None:
        env.note("callback", *(() if future is None else _outcome(future)))
        _run_all(env, "callback", ops)

    return callback


def _run_all(env: Env, me: object, ops: Sequence[Op]) -> None:
    for op in ops:
        run_sync(env, me, op)


def _settle(env: Env, me: object, number: int, how: str) -> None:
    future = env.pick("future", number)
    if future is None:
        return
    if how == "cancel":
        env.note(me, "cancels a future", future.cancel())
        return
    try:
        if how == "result":
            future.set_result(len(env.log))
        else:
            future.set_exception(Failure())
    except asyncio.InvalidStateError:
        env.note(me, "settles too late")


def _drop(env: Env, what: str, number: int) -> None:
    things = env.list_of(what)
    if things:
        place = number % len(things)
        # One that is pending would be closed by the garbage collector.
        if what != "task" or things[place] is None or things[place].done():
            things[place] = None


def _run_thread(env: Env, body: Body) -> None:
    loop = env.world.take_loop()
    env.threads += 1
    name = f"{env.name}.{env.threads}"

    def target() -> None:
        run_in_loop(env.world, loop, env.log, name, body)

    env.world.run_thread(target)


def run_in_loop(world: World, loop: Any, log: list[Any], name: str, program: Body) -> None:
    env = Env(world, loop, log, name)
    main: Coroutine[Any, Any, None] = drive(env, program)
    loop.run_until_complete(main)

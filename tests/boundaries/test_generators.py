"""Coroutines, tasks and generators: the rows g01 to g17, and those of scopes that are left in
another context than they were entered in.

From Python 3.12 on a generator that opens a scope is isolated by itself; on 3.11, and where it sets
a plain variable, by `@asynchooks.isolated`.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiostream import stream

import asynchooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.boundaries.conftest import Run

    Storage = asynchooks.AsyncLocalStorage[str | None]


def isolated(fn: Any) -> Any:
    """What 3.11 needs, which has no sys.monitoring; nothing from 3.12 on."""
    return asynchooks.isolated(fn) if sys.version_info < (3, 12) else fn


def test_g01_generator_with_a_scope(engine: None, storage: Storage) -> None:
    @isolated
    def rows() -> Iterator[str | None]:
        with storage.use("A"):
            yield storage.get_store()
            yield storage.get_store()

    inside, outside = [], []
    for row in rows():
        inside.append(row)
        outside.append(storage.get_store())
    assert inside == ["A", "A"]
    assert outside == [None, None]
    assert storage.get_store() is None


def test_g02_async_generator_with_a_scope(engine: None, run: Run, storage: Storage) -> None:
    @isolated
    async def rows() -> AsyncIterator[str | None]:
        with storage.use("A"):
            await asyncio.sleep(0)
            yield storage.get_store()
            await asyncio.sleep(0)
            yield storage.get_store()

    async def main() -> None:
        inside, outside = [], []
        async for row in rows():
            inside.append(row)
            outside.append(storage.get_store())
            await asyncio.sleep(0)
            outside.append(storage.get_store())
        assert inside == ["A", "A"]
        assert outside == [None] * 4
        assert storage.get_store() is None

    run(main())


def test_g03_break_out_of_an_async_generator(engine: None, run: Run, storage: Storage) -> None:
    left: list[str | None] = []

    @isolated
    async def rows() -> AsyncIterator[int]:
        try:
            with storage.use("A"):
                try:
                    yield 1
                    yield 2
                finally:
                    left.append(storage.get_store())
        finally:
            left.append(storage.get_store())

    async def main() -> None:
        errors: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        async for _ in rows():
            break
        # The loop closes it in a task of its own.
        while len(left) < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not errors

    run(main())
    assert left == ["A", None]


def test_g04_break_leaves_nothing_in_the_consumer(engine: None, run: Run, storage: Storage) -> None:
    @isolated
    async def rows() -> AsyncIterator[int]:
        with storage.use("A"):
            yield 1

    async def main() -> None:
        with storage.use("consumer"):
            generator = rows()
            async for _ in generator:
                break
            assert storage.get_store() == "consumer"
            await generator.aclose()
            assert storage.get_store() == "consumer"
        assert storage.get_store() is None

    run(main())


def test_g05_abandoned_async_generator(engine: None, run: Run, storage: Storage) -> None:
    closed: list[str | None] = []

    async def rows() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            closed.append(storage.get_store())

    async def of_a() -> None:
        generator = rows()
        await anext(generator)
        cycle: list[Any] = [generator]
        cycle.append(cycle)

    async def of_b() -> None:
        gc.collect()
        while not closed:
            await asyncio.sleep(0)

    async def main() -> None:
        gc.disable()
        try:
            await asyncio.create_task(storage.run("A", of_a))
            await asyncio.create_task(storage.run("B", of_b))
        finally:
            gc.enable()

    run(main())
    assert closed == ["A"]


def test_g06_wait_for_a_step(engine: None, run: Run, storage: Storage) -> None:
    @isolated
    async def rows() -> AsyncIterator[str | None]:
        with storage.use("A"):
            yield storage.get_store()
            yield storage.get_store()

    async def main() -> None:
        generator = rows()
        for _ in range(2):
            assert await asyncio.wait_for(anext(generator), 60) == "A"
            assert storage.get_store() is None
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(generator), 60)

    run(main())


def test_g07_what_wait_for_sets(engine: None, run: Run, storage: Storage) -> None:
    async def login() -> None:
        await asyncio.sleep(0)
        storage.enter_with("user")

    async def main() -> str | None:
        await asyncio.wait_for(login(), 60)
        return storage.get_store()

    # 3.11's wait_for has a task of its own, whose context is not ours to give back.
    assert run(main()) == ("user" if sys.version_info >= (3, 12) else None)


def test_g08_context_manager(engine_on_or_off: None, storage: Storage) -> None:
    @contextmanager
    def request() -> Iterator[str | None]:
        with storage.use("A"):
            yield storage.get_store()

    with request() as store:
        assert store == storage.get_store() == "A"
    assert storage.get_store() is None


def test_g09_async_context_manager(engine_on_or_off: None, run: Run, storage: Storage) -> None:
    @asynccontextmanager
    async def request() -> AsyncIterator[str | None]:
        async with storage.use("A"):
            await asyncio.sleep(0)
            yield storage.get_store()

    async def main() -> None:
        async with request() as store:
            await asyncio.sleep(0)
            assert store == storage.get_store() == "A"
        assert storage.get_store() is None
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(request())
            assert storage.get_store() == "A"
        assert storage.get_store() is None

    run(main())


def test_g10_run_a_generator_function(engine: None, storage: Storage) -> None:
    def rows() -> Iterator[str | None]:
        yield storage.get_store()
        yield storage.get_store()

    generator = storage.run("A", rows)
    assert [(row, storage.get_store()) for row in generator] == [("A", None)] * 2


def test_g11_run_an_async_generator_function(engine: None, run: Run, storage: Storage) -> None:
    async def rows() -> AsyncIterator[str | None]:
        await asyncio.sleep(0)
        yield storage.get_store()
        yield storage.get_store()

    async def main() -> list[Any]:
        return [(row, storage.get_store()) async for row in storage.run("A", rows)]

    assert run(main()) == [("A", None)] * 2


def test_g12_run_a_coroutine_function(engine: None, run: Run, storage: Storage) -> None:
    async def body() -> list[str | None]:
        seen = [storage.get_store()]
        await asyncio.sleep(0)
        return [*seen, storage.get_store()]

    async def main() -> None:
        assert await storage.run("A", body) == ["A", "A"]
        assert storage.get_store() is None

    run(main())


def test_g14_generator_stepped_by_different_tasks(engine: None, run: Run, storage: Storage) -> None:
    @isolated
    async def events() -> AsyncIterator[str | None]:
        with storage.use("stream"):
            for _ in range(3):
                yield storage.get_store()

    async def step(generator: AsyncIterator[str | None]) -> tuple[str | None, str | None]:
        return await anext(generator, "end"), storage.get_store()

    async def main() -> None:
        generator = events()
        for name in ("A", "B", "C"):
            task = asyncio.create_task(storage.run(name, step, generator))
            assert await task == ("stream", name)
        assert await asyncio.create_task(storage.run("D", step, generator)) == ("end", "D")

    run(main())


def test_g15_exit_stack_closed_in_another_task(engine: None, run: Run, storage: Storage) -> None:
    async def main() -> None:
        stack = AsyncExitStack()

        async def start() -> str | None:
            stack.enter_context(storage.use("A"))
            await stack.enter_async_context(storage.use("B"))
            return storage.get_store()

        async def close() -> str | None:
            await stack.aclose()
            return storage.get_store()

        assert await asyncio.create_task(start()) == "B"
        with storage.use("other"):
            # What is in force there is not the stack's, and stays.
            assert await asyncio.create_task(close()) == "other"
        assert storage.get_store() is None

    run(main())


def test_g16_task_made_in_an_async_generator(
    engine_on_or_off: None, run: Run, storage: Storage
) -> None:
    async def child() -> str | None:
        await asyncio.sleep(0)
        return storage.get_store()

    async def rows() -> AsyncIterator[str | None]:
        with storage.use("A"):
            yield await asyncio.create_task(child())
            yield await asyncio.create_task(child())

    async def main() -> list[str | None]:
        return [row async for row in rows()]

    assert run(main()) == ["A", "A"]


@pytest.mark.tool("isolated")
def test_g17_generators_that_set_a_plain_variable(engine: None) -> None:
    variable = contextvars.ContextVar("variable", default="outside")

    @asynchooks.isolated
    def rows(name: str) -> Iterator[str]:
        token = variable.set(name)
        yield variable.get()
        yield variable.get()
        variable.reset(token)
        yield variable.get()

    a, b = rows("a"), rows("b")
    seen = [next(generator) for _ in range(3) for generator in (a, b)]
    assert seen == ["a", "b", "a", "b", "outside", "outside"]
    assert variable.get() == "outside"


@pytest.mark.tool("bind")
def test_g13_coroutine_made_here_and_awaited_there(
    engine: None, run: Run, storage: Storage
) -> None:
    async def query() -> str | None:
        await asyncio.sleep(0)
        return storage.get_store()

    async def main() -> None:
        made: list[Any] = []
        storage.run("A", lambda: made.extend([query(), asynchooks.bind(query())]))
        with storage.use("B"):
            assert await made[0] == "B", "Python's choice: who awaits it"
            assert await made[1] == "A"
            assert storage.get_store() == "B"

    run(main())


def test_t20_scope_left_in_another_thread(engine: None, storage: Storage) -> None:
    scope = storage.use("A")

    def enter() -> str | None:
        scope.__enter__()
        return storage.get_store()

    def leave() -> str | None:
        scope.__exit__(None, None, None)
        return storage.get_store()

    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        assert first.submit(enter).result() == "A"
        assert second.submit(leave).result() is None
        assert storage.run("B", second.submit, leave).result() == "B"
        assert first.submit(storage.get_store).result() is None
    assert storage.get_store() is None


def test_k32_scope_left_in_a_child_task(engine: None, run: Run, storage: Storage) -> None:
    async def main() -> None:
        scope = storage.use("A")
        scope.__enter__()

        async def child() -> list[str | None]:
            seen = [storage.get_store()]
            storage.enter_with("set inside")
            await scope.__aexit__(None, None, None)
            return [*seen, storage.get_store()]

        assert await asyncio.create_task(child()) == ["A", None]
        assert storage.get_store() == "A", "the parent has not left it"
        scope.__exit__(None, None, None)
        assert storage.get_store() is None

    run(main())


def test_f47_aiostream_merge(engine: None, run: Run, storage: Storage) -> None:
    def source(name: str) -> Callable[[], Any]:
        @isolated
        async def rows() -> AsyncIterator[tuple[str, str | None]]:
            with storage.use(name):
                for _ in range(3):
                    await asyncio.sleep(0)
                    yield name, storage.get_store()

        return rows  # type: ignore[no-any-return] # a decorated generator function

    async def main() -> list[Any]:
        seen: list[Any] = []
        async with stream.merge(source("A")(), source("B")()).stream() as streamer:
            async for item in streamer:
                seen.append(item)
                assert storage.get_store() is None
        return seen

    assert sorted(run(main())) == [("A", "A")] * 3 + [("B", "B")] * 3

"""Async generators: born at their first step, however that is asked for."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import asynchooks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from tests.conftest import Activity


async def numbers() -> AsyncGenerator[int, int | None]:
    for number in range(3):
        yield number


def test_every_way_to_begin_one(activity: Activity) -> None:
    async def main() -> int:
        async for _ in numbers():
            pass
        await anext(numbers())
        await numbers().asend(None)
        assert [number async for number in numbers()] == [0, 1, 2]

        @asynccontextmanager
        async def manager() -> AsyncIterator[int]:
            yield 1

        async with manager():
            pass
        async with aclosing(numbers()) as closing:
            async for _ in closing:
                break
        return asynchooks.execution_async_id()

    me = asyncio.run(main())
    born = activity.of_type("AsyncGenerator")
    assert [life.trigger for _, life in born] == [me] * 6
    assert [life.events for _, life in born] == [["init"]] * 6


def test_one_that_is_never_asked_is_none(activity: Activity) -> None:
    async def main() -> None:
        unused = numbers()
        await unused.aclose()

    asyncio.run(main())
    assert activity.of_type("AsyncGenerator") == []


def test_it_dies_when_it_is_let_go(activity: Activity) -> None:
    async def main() -> None:
        async for _ in numbers():
            pass
        activity.forget_resources()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ((_, life),) = activity.of_type("AsyncGenerator")
        assert life.events == ["init", "destroy"]

    asyncio.run(main())


def test_what_it_makes_is_made_by_whoever_asks(activity: Activity) -> None:
    made: list[asyncio.Task[None]] = []

    async def making() -> AsyncIterator[int]:
        made.append(asyncio.create_task(asyncio.sleep(0)))
        yield 1

    async def main() -> int:
        async for _ in making():
            pass
        await made[0]
        return asynchooks.execution_async_id()

    me = asyncio.run(main())
    assert activity.lives[asynchooks.async_id(made[0])].trigger == me


def test_a_name_and_a_site(engine: None) -> None:
    async def main() -> None:
        generator = numbers()
        await anext(generator)
        (info,) = asynchooks.resources(kind="AsyncGenerator")
        assert info.resource is generator
        assert info.name == "numbers"
        assert info.site is not None
        assert info.site.function.endswith("main")
        await generator.aclose()

    asyncio.run(main())
    gc.collect()
    assert asynchooks.resources(kind="AsyncGenerator") == []

"""Watches of files: one resource, however often it is called, until it is replaced or removed."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import asynchooks

if TYPE_CHECKING:
    from tests.conftest import Activity
    from tests.unit.loops.conftest import Run


def test_a_replaced_watch_ends_and_a_removed_one_too(activity: Activity, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        me = asynchooks.execution_async_id()
        seen: list[tuple[str, int, int]] = []
        came = asyncio.Event()
        one, other = socket.socketpair()

        def read(name: str) -> None:
            one.recv(1)
            ids = asynchooks.execution_async_id(), asynchooks.trigger_async_id()
            seen.append((name, *ids))
            came.set()

        async def poke() -> None:
            other.send(b"x")
            await came.wait()
            came.clear()

        with one, other:
            loop.add_reader(one, read, "first")
            await poke()
            await poke()
            loop.add_reader(one, read, "second")
            await poke()
            loop.remove_reader(one)
            assert not loop.remove_reader(one)
            await asyncio.sleep(0)
        (first, first_life), (second, second_life) = activity.of_type("Reader")[-2:]
        assert seen == [("first", first, me)] * 2 + [("second", second, me)]
        for life, times in ((first_life, 2), (second_life, 1)):
            assert life.events[: 1 + 2 * times] == ["init", *["before", "after"] * times]
        activity.forget_resources()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert first_life.events[-1] == second_life.events[-1] == "destroy"

    run(main())


def test_a_reader_and_a_writer_of_one_file(activity: Activity, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen: list[str] = []
        both = asyncio.Event()
        one, other = socket.socketpair()

        def called() -> None:
            async_id = asynchooks.execution_async_id()
            seen.append(activity.lives[async_id].type)
            if {"Reader", "Writer"} <= set(seen):
                both.set()

        with one, other:
            loop.add_reader(one, called)
            loop.add_writer(one, called)
            other.send(b"x")
            await both.wait()
            loop.remove_reader(one)
            loop.remove_writer(one)

    run(main())


def test_where_a_watch_was_made(engine: None, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair()
        with one, other:
            loop.add_reader(one, print)
            infos = asynchooks.resources(kind="Reader")
            (mine,) = (i for i in infos if i.created_by == asynchooks.execution_async_id())
            assert mine.site is not None
            assert mine.site.function.endswith("main")
            assert mine.name == "print"
            loop.remove_reader(one)

    run(main())

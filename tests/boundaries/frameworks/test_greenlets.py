"""Greenlets: the rows f19 and f21 to f24. gevent and eventlet each in a process of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.boundaries.conftest import Run

    Storage = asynchooks.AsyncLocalStorage[str | None]

COMMON = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
import asynchooks

asynchooks.enable()
storage = asynchooks.AsyncLocalStorage(name="row")

def work(*args):
    found = storage.get_store()
    storage.enter_with("residue")
    return found
"""

GEVENT = """
import gevent, gevent.pool, gevent.threadpool
from gevent.event import AsyncResult

def main():
    seen = [
        gevent.spawn(work).get(),
        gevent.spawn_later(0, work).get(),
        gevent.Greenlet.spawn(work).get(),
        gevent.pool.Pool(2).spawn(work).get(),
        *gevent.pool.Group().imap(work, [1, 2]),
        gevent.get_hub().threadpool.spawn(work).get(),
        gevent.get_hub().threadpool.apply(work),
        gevent.threadpool.ThreadPoolExecutor(1).submit(work).result(),
    ]
    raw = AsyncResult()
    gevent.spawn_raw(lambda: raw.set(work()))
    class Own(gevent.Greenlet):
        def _run(self):
            gevent.sleep(0)
            return work()
    own = Own()
    own.start()
    return [*seen, raw.get(), own.get()]

print(storage.run("A", main))
print(main())
print(storage.run("B", main))
hub = gevent.get_hub().gr_context
print(hub is None or storage._variable not in hub)
asynchooks.disable()
print(storage.run("C", lambda: gevent.spawn(work).get()))
"""

MONKEY_PATCHED = """
import gevent.monkey
gevent.monkey.patch_all()
"""


def expected(count: int) -> str:
    return f"{['A'] * count}\n{[None] * count}\n{['B'] * count}\nTrue\nNone\n"


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", MONKEY_PATCHED], ids=["plain", "monkey-patched"])
def test_f21_f22_gevent(run_script: Callable[..., str], before: str) -> None:
    """What a greenlet, and a job of gevent's threads, runs in; the hub holds nobody's store."""
    assert run_script(before + COMMON + GEVENT) == expected(11)


EVENTLET = """
import eventlet, eventlet.tpool
from eventlet.event import Event

def main():
    pool = eventlet.GreenPool()
    sent = Event()
    eventlet.spawn_n(lambda: sent.send(work()))
    return [
        eventlet.spawn(work).wait(),
        eventlet.spawn_after(0, work).wait(),
        pool.spawn(work).wait(),
        *pool.imap(work, [1, 2]),
        eventlet.tpool.execute(work),
        sent.wait(),
    ]

print(storage.run("A", main))
print(main())
print(storage.run("B", main))
hub = eventlet.hubs.get_hub().greenlet.gr_context
print(hub is None or storage._variable not in hub)
asynchooks.disable()
print(storage.run("C", lambda: eventlet.spawn(work).wait()))
eventlet.tpool.killall()
"""


@pytest.mark.slow
def test_f24_eventlet(run_script: Callable[..., str]) -> None:
    assert run_script(COMMON + EVENTLET, warnings="ignore") == expected(7)


def test_f23_greenlet(engine: None, storage: Storage) -> None:
    """However it is made; what it sets stays its own, and what its maker sets is seen no more."""
    import greenlet

    main = greenlet.getcurrent()

    def work() -> list[str | None]:
        found = storage.get_store()
        storage.enter_with("inside")
        main.switch()
        return [found, storage.get_store()]

    class Plain(greenlet.greenlet):
        run = staticmethod(work)

    class Own(greenlet.greenlet):
        def __init__(self) -> None:
            super().__init__(work)

    def make() -> list[Any]:
        return [greenlet.greenlet(work), Plain(), Own(), greenlet.greenlet(run=work)]

    made = storage.run("A", make)
    for let in made:
        let.switch()
        assert storage.get_store() is None
    with storage.use("B"):
        assert [let.switch() for let in made] == [["A", "inside"]] * 4
        assert storage.get_store() == "B"

    # Who sets another context has that, and has it alone.
    let = storage.run("A", greenlet.greenlet, storage.get_store)
    let.gr_context = None
    assert let.switch() is None


def test_f23_greenlets_are_left_alone_afterwards(storage: Storage) -> None:
    import greenlet

    class Before(greenlet.greenlet):
        pass

    asynchooks.enable()

    class Meanwhile(greenlet.greenlet):
        pass

    classes = (greenlet.greenlet, Before, Meanwhile)

    def seen() -> list[str | None]:
        return [made(storage.get_store).switch() for made in classes]

    assert storage.run("A", seen) == ["A"] * 3
    asynchooks.disable()
    assert storage.run("A", seen) == [None] * 3
    asynchooks.enable(boundaries={"greenlet": False})
    assert storage.run("A", seen) == [None] * 3
    asynchooks.disable()


@pytest.mark.slow
def test_f19_sqlalchemy(engine_on_or_off: None, storage: Storage, run: Run, postgres: str) -> None:
    from sqlalchemy import event, text
    from sqlalchemy.ext.asyncio import create_async_engine

    seen: list[Any] = []

    async def main() -> None:
        database = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))

        @event.listens_for(database.sync_engine, "before_cursor_execute")
        def listen(*args: Any) -> None:
            seen.append(storage.get_store())
            storage.enter_with("set in the listener")

        async def ask(store: str) -> None:
            storage.enter_with(store)
            async with database.connect() as connection:
                assert await connection.scalar(text("select 1")) == 1
            seen.append(storage.get_store())

        await asyncio.create_task(ask("A"))
        await asyncio.create_task(ask("B"))
        await database.dispose()

    run(main())

    assert seen == ["A", "set in the listener", "B", "set in the listener"]

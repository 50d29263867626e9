"""SQLAlchemy, sync and async: each statement once, with the ORM's classes, under its request."""

from __future__ import annotations

import asyncio
import sqlite3
import traceback
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from sqlalchemy import ForeignKey, create_engine, delete, insert, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    mapped_column,
    relationship,
    selectinload,
)
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool, StaticPool
from tests.libraries.conftest import line_of

from asynchooks import libraries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.libraries.conftest import Trace


class Base(DeclarativeBase):
    pass


class Room(Base):
    __tablename__ = "room"
    id: Mapped[int] = mapped_column(primary_key=True)
    lamps: Mapped[list[Lamp]] = relationship()


class Lamp(Base):
    __tablename__ = "lamp"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    room_id: Mapped[int | None] = mapped_column(ForeignKey("room.id"))


@pytest.fixture
def engine_of_sqlite(trace: Trace) -> Iterator[sqlalchemy.Engine]:
    """An engine with a room and a lamp in it."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Room(id=1, lamps=[Lamp(id=1, name="desk")]))
        session.commit()
    yield engine
    engine.dispose()


def touch(session: Session) -> None:
    room = session.get(Room, 1)
    assert room is not None
    session.expire(room, ["lamps"])
    assert len(room.lamps) == 1


WAYS: dict[str, tuple[str, tuple[str, ...], Callable[[Session], Any]]] = {
    "text": ("SELECT", (), lambda s: s.execute(text("SELECT name FROM lamp"))),
    "core": ("SELECT", (), lambda s: s.execute(select(Lamp.__table__.c.name))),
    "select": ("SELECT", ("Lamp",), lambda s: s.scalars(select(Lamp).where(Lamp.id == 1)).all()),
    "columns": ("SELECT", ("Lamp",), lambda s: s.execute(select(Lamp.id, Lamp.name))),
    "join": ("SELECT", ("Room", "Lamp"), lambda s: s.execute(select(Room, Lamp).join(Room.lamps))),
    "alias": ("SELECT", (), lambda s: s.execute(select(aliased(Lamp)))),
    "get": ("SELECT", ("Lamp",), lambda s: s.get(Lamp, 1)),
    "legacy": ("SELECT", ("Lamp",), lambda s: s.query(Lamp).filter_by(name="desk").all()),
    "update": ("UPDATE", ("Lamp",), lambda s: s.execute(update(Lamp).values(name="desk"))),
    "delete": ("DELETE", ("Lamp",), lambda s: s.execute(delete(Lamp).where(Lamp.name == "x"))),
    "insert": ("INSERT", ("Lamp",), lambda s: s.execute(insert(Lamp).values(name="desk"))),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_one_span(trace: Trace, engine_of_sqlite: sqlalchemy.Engine, way: str) -> None:
    operation, entities, run = WAYS[way]
    with Session(engine_of_sqlite) as session, trace.request():
        run(session)
    span = trace.query()
    assert span.attributes["db.system.name"] == "sqlite"
    assert span.attributes["db.operation.name"] == operation
    assert span.attributes.get("asynchooks.db.entities", ()) == entities
    assert span.call_site is not None
    assert span.call_site[0].co_filename == __file__
    assert "desk" not in str(span.attributes)


def test_many_at_once_are_one_span(trace: Trace, engine_of_sqlite: sqlalchemy.Engine) -> None:
    with Session(engine_of_sqlite) as session, trace.request():
        session.add_all([Lamp(name="a"), Lamp(name="b")])
        session.flush()
    span = trace.query()
    assert span.name == "INSERT lamp"
    assert span.attributes["db.operation.batch.size"] == 2


def test_each_statement_of_a_lazy_load_has_the_line_that_caused_it(
    trace: Trace, engine_of_sqlite: sqlalchemy.Engine
) -> None:
    with Session(engine_of_sqlite) as session, trace.request():
        touch(session)
    of_room, of_lamps = trace.query_spans()
    assert (of_room.name, of_lamps.name) == ("SELECT room", "SELECT lamp")
    assert line_of(of_room, touch.__code__) == 1
    assert line_of(of_lamps, touch.__code__) == 4


def test_the_span_s_line_is_the_one_that_awaits(trace: Trace) -> None:
    async def handle(session: AsyncSession) -> None:
        await session.execute(select(Lamp))

    async def main() -> None:
        engine = create_async_engine("sqlite+aiosqlite://")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            with trace.request():
                await handle(session)
        await engine.dispose()

    asyncio.run(main())
    span = trace.query()
    assert line_of(span, handle.__code__) == 1
    assert span.attributes["asynchooks.db.entities"] == ("Lamp",)


def test_eager_loads_of_asyncio_are_a_span_each(trace: Trace) -> None:
    async def main() -> None:
        engine = create_async_engine("sqlite+aiosqlite://")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            session.add(Room(id=1, lamps=[Lamp(id=1)]))
            await session.commit()
            session.expunge_all()
            with trace.request():
                await session.scalars(select(Room).options(selectinload(Room.lamps)))
        await engine.dispose()

    asyncio.run(main())
    assert [span.name for span in trace.query_spans()] == ["SELECT room", "SELECT lamp"]


def test_a_failed_statement_is_failed_and_its_exception_unchanged(
    trace: Trace, engine_of_sqlite: sqlalchemy.Engine
) -> None:
    def run() -> list[str]:
        with (
            engine_of_sqlite.connect() as connection,
            trace.request(),
            pytest.raises(OperationalError) as caught,
        ):
            connection.execute(text("SELECT * FROM nowhere"))
        assert isinstance(caught.value.orig, sqlite3.OperationalError)
        return [frame.name for frame in traceback.extract_tb(caught.tb)]

    traced = run()
    span = trace.failed_query()
    assert span.attributes["error.type"] == "sqlalchemy.exc.OperationalError"
    assert span.attributes["db.response.status_code"] == str(sqlite3.SQLITE_ERROR)
    libraries.uninstall()
    assert run() == traced


def test_a_failed_statement_of_asyncio(trace: Trace) -> None:
    async def main() -> list[str]:
        engine = create_async_engine("sqlite+aiosqlite://")
        async with engine.connect() as connection:
            with trace.request(), pytest.raises(OperationalError) as caught:
                await connection.execute(text("SELECT * FROM nowhere"))
        await engine.dispose()
        return [frame.name for frame in traceback.extract_tb(caught.tb)]

    traced = asyncio.run(main())
    trace.failed_query()
    libraries.uninstall()
    assert asyncio.run(main()) == traced


def test_outside_of_a_request_nothing_is_recorded(
    trace: Trace, engine_of_sqlite: sqlalchemy.Engine
) -> None:
    with engine_of_sqlite.connect() as connection:
        connection.execute(text("SELECT name FROM lamp"))
    assert trace.spans == []


def test_waiting_for_the_pool_is_a_span(trace: Trace, tmp_path: Path) -> None:
    engine = create_engine(
        f"sqlite:///{tmp_path}/shop.db",
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=0.01,
    )
    with engine.connect(), trace.request(), pytest.raises(sqlalchemy.exc.TimeoutError):
        engine.connect()
    engine.dispose()
    span = trace.named("wait for a pooled connection")
    assert span.attributes["error.type"] == "sqlalchemy.exc.TimeoutError"


def test_waiting_for_the_pool_of_asyncio_is_a_span(trace: Trace, tmp_path: Path) -> None:
    async def take(engine: Any) -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT name FROM sqlite_master"))

    async def main() -> None:
        engine = create_async_engine(
            f"sqlite+aiosqlite:///{tmp_path}/shop.db",
            poolclass=AsyncAdaptedQueuePool,
            pool_size=1,
            max_overflow=0,
        )
        async with engine.connect():
            with trace.request():
                waiting = asyncio.create_task(take(engine))
            await asyncio.sleep(0.01)  # what is looked for is a wait
        await waiting
        await engine.dispose()

    asyncio.run(main())
    span = trace.named("wait for a pooled connection")
    assert span.end_time is not None
    assert span.end_time - span.start_time >= 5_000_000
    assert [span.name for span in trace.query_spans()] == ["SELECT sqlite_master"]


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "psycopg async", "asyncpg"])
def test_no_driver_makes_a_second_span(trace: Trace, postgres: str, driver: str) -> None:
    name = driver.partition(" ")[0]
    url = postgres.replace("postgresql:", f"postgresql+{name}:")

    async def main() -> None:
        engine = create_async_engine(url)
        async with engine.connect() as connection:
            with trace.request():
                await connection.execute(text("SELECT datname FROM pg_database"))
        await engine.dispose()

    if driver in ("psycopg async", "asyncpg"):
        asyncio.run(main())
    else:
        sync_engine = create_engine(url)
        with sync_engine.connect() as connection, trace.request():
            connection.execute(text("SELECT datname FROM pg_database"))
        sync_engine.dispose()
    span = trace.query()
    assert span.name == "SELECT pg_database"
    assert span.attributes["db.system.name"] == "postgresql"
    assert span.attributes["db.namespace"] == "postgres"

"""redis-py and valkey with a real Redis, sync and async: each command once, under its request."""

from __future__ import annotations

import asyncio
import traceback
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
import redis.asyncio
import valkey.asyncio
from tests.libraries.conftest import line_of

import asynchooks
from asynchooks import libraries
from asynchooks.tracing import SpanKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.libraries.conftest import Trace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("library", [redis, valkey], ids=lambda library: library.__name__),
]


def connect(library: Any, port: int) -> Any:
    client = library.Redis if library is redis else library.Valkey
    return client(host="127.0.0.1", port=port, db=1)


def connect_async(library: Any, port: int) -> Any:
    client = library.asyncio.Redis if library is redis else library.asyncio.Valkey
    return client(host="127.0.0.1", port=port, db=1)


def transact(client: Any) -> Any:
    return client.pipeline().set("lamp", "desk").get("lamp").execute()


def send_at_once(client: Any) -> Any:
    return client.pipeline(transaction=False).set("lamp", "desk").get("lamp").execute()


WAYS: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
    "command": ("GET", "GET ?", lambda c: c.get("lamp")),
    "arguments": ("SET", "SET ? ? ? ?", lambda c: c.set("lamp", "desk", ex=60)),
    "two words": ("CONFIG GET", "CONFIG GET ?", lambda c: c.config_get("maxmemory")),
    "raw": ("GET", "GET ?", lambda c: c.execute_command("get", "lamp")),
    "many": ("MGET", f"MGET{' ?' * 16} ...", lambda c: c.mget([f"lamp{n}" for n in range(20)])),
    "transaction": ("MULTI", "SET ? ?; GET ?", transact),
    "pipeline": ("PIPELINE", "SET ? ?; GET ?", send_at_once),
}


def check(trace: Trace, library: ModuleType, way: str, port: int) -> None:
    operation, text, _ = WAYS[way]
    span = trace.query()
    assert span.name == operation
    assert span.attributes == {
        "db.system.name": library.__name__,
        "db.operation.name": operation,
        "db.query.summary": operation,
        "db.query.text": text,
        "db.namespace": "1",
        "server.address": "127.0.0.1",
        "server.port": port,
        **({"db.operation.batch.size": 2} if ";" in text else {}),
    }
    assert span.call_site is not None
    assert span.call_site[0].co_filename == __file__


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_one_span(
    trace: Trace, redis_port: int, library: ModuleType, way: str
) -> None:
    with connect(library, redis_port) as client, trace.request():
        WAYS[way][2](client)
    check(trace, library, way, redis_port)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_asyncio_is_one_span(
    trace: Trace, redis_port: int, library: ModuleType, way: str
) -> None:
    async def main() -> None:
        async with connect_async(library, redis_port) as client:
            with trace.request():
                await WAYS[way][2](client)

    asyncio.run(main())
    check(trace, library, way, redis_port)


def test_the_span_s_line_is_the_user_s(trace: Trace, redis_port: int, library: ModuleType) -> None:
    def handle(client: Any) -> None:
        client.get("lamp")

    async def handle_async(client: Any) -> None:
        await client.get("lamp")

    async def main() -> None:
        async with connect_async(library, redis_port) as client:
            with trace.request():
                await handle_async(client)

    with connect(library, redis_port) as client, trace.request():
        handle(client)
    asyncio.run(main())
    of_sync, of_async = trace.query_spans()
    assert line_of(of_sync, handle.__code__) == 1
    assert line_of(of_async, handle_async.__code__) == 1


def test_what_a_watched_pipeline_reads_is_a_span(
    trace: Trace, redis_port: int, library: ModuleType
) -> None:
    with connect(library, redis_port) as client, trace.request(), client.pipeline() as pipeline:
        pipeline.watch("lamp")
        pipeline.get("lamp")
        pipeline.multi()
        pipeline.set("lamp", "desk")
        pipeline.execute()
    assert [span.name for span in trace.query_spans()] == ["WATCH", "GET", "MULTI"]


FAILURES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "wrong type": ("WRONGTYPE", lambda c: c.lpush("string", "desk")),
    "unknown": ("ERR", lambda c: c.execute_command("NONSENSE")),
    "no script": ("NOSCRIPT", lambda c: c.evalsha("0" * 40, 0)),
    "pipeline": ("WRONGTYPE", lambda c: c.pipeline().lpush("string", "desk").execute()),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_command_is_failed_and_its_exception_unchanged(
    trace: Trace, redis_port: int, library: Any, failure: str
) -> None:
    prefix, fail = FAILURES[failure]

    def run() -> list[str]:
        with connect(library, redis_port) as client:
            client.set("string", "desk")
            with trace.request(), pytest.raises(library.exceptions.ResponseError) as caught:
                fail(client)
        return [frame.name for frame in traceback.extract_tb(caught.tb)]

    traced = run()
    span = trace.failed_query()
    assert span.attributes["db.response.status_code"] == prefix
    libraries.uninstall()
    assert run() == traced


def test_a_failed_command_of_asyncio(trace: Trace, redis_port: int, library: Any) -> None:
    async def main() -> list[str]:
        async with connect_async(library, redis_port) as client:
            with trace.request(), pytest.raises(library.exceptions.ResponseError) as caught:
                await client.execute_command("NONSENSE")
        return [frame.name for frame in traceback.extract_tb(caught.tb)]

    traced = asyncio.run(main())
    assert trace.failed_query().attributes["db.response.status_code"] == "ERR"
    libraries.uninstall()
    assert asyncio.run(main()) == traced


def test_outside_of_a_request_nothing_is_recorded(
    trace: Trace, redis_port: int, library: ModuleType
) -> None:
    with connect(library, redis_port) as client:
        client.get("lamp")
        transact(client)
    assert trace.spans == []


# Whose a command is shows in how many arguments it has.
NUMBERS = range(1, 15)
EXPECTED = {f"r{number}": [f"SADD ?{' ?' * number}"] * 4 for number in NUMBERS}


def test_a_pool_between_many_requests(trace: Trace, redis_port: int, library: Any) -> None:
    async def handler(client: Any, number: int) -> None:
        with trace.request(f"r{number}"):
            for _ in range(4):
                await client.sadd("lamps", *range(number))

    async def main() -> None:
        async with connect_async(library, redis_port) as client:
            limit(client, library.asyncio, redis_port, 3)
            await asyncio.gather(*(handler(client, number) for number in NUMBERS))
            await client.connection_pool.disconnect()

    asyncio.run(main())
    assert trace.by_request("SADD") == EXPECTED


def test_a_pool_between_many_threads(trace: Trace, redis_port: int, library: Any) -> None:
    def handler(number: int) -> None:
        with trace.request(f"r{number}"):
            for _ in range(4):
                client.sadd("lamps", *range(number))

    with connect(library, redis_port) as client, ThreadPoolExecutor(10) as threads:
        limit(client, library, redis_port, 3)
        list(threads.map(handler, NUMBERS))
        client.connection_pool.disconnect()
    assert trace.by_request("SADD") == EXPECTED


def limit(client: Any, module: Any, port: int, size: int) -> None:
    """Let `client` have `size` connections, for which it waits."""
    client.connection_pool = module.BlockingConnectionPool(
        host="127.0.0.1", port=port, max_connections=size
    )


def test_waiting_for_the_pool_is_a_span(trace: Trace, redis_port: int, library: Any) -> None:
    async def main() -> None:
        async with connect_async(library, redis_port) as client:
            limit(client, library.asyncio, redis_port, 1)
            pipeline = client.pipeline()
            await pipeline.watch("lamp")  # takes the connection
            with trace.request():
                waiting = asyncio.create_task(client.get("lamp"))
            await asyncio.sleep(0.01)  # what is looked for is a wait
            await pipeline.reset()
            await waiting
            await client.connection_pool.disconnect()

    asyncio.run(main())
    span = trace.named("wait for a pooled connection")
    assert span.kind is SpanKind.INTERNAL
    assert span.end_time is not None
    assert span.end_time - span.start_time >= 5_000_000


def test_a_thread_that_listens_belongs_to_nobody(
    trace: Trace, redis_port: int, library: ModuleType
) -> None:
    heard = Event()

    def handle(message: Any) -> None:
        client.get("lamp")
        heard.set()

    with connect(library, redis_port) as client, client.pubsub() as pubsub:
        before = {info.async_id for info in asynchooks.resources(kind="Thread")}
        with trace.request():
            pubsub.subscribe(news=handle)
            thread = pubsub.run_in_thread(sleep_time=0.01)
        after = asynchooks.resources(kind="Thread")
        (info,) = (info for info in after if info.async_id not in before)
        assert (info.created_by, info.root) == (0, info.async_id)
        with trace.request():
            client.publish("news", "desk")
        assert heard.wait(60)
        thread.stop()
        thread.join(60)
    assert trace.queries() == ["SUBSCRIBE ?", "PUBLISH ? ?"]

"""PyMongo over MongoDB's protocol, sync and async: each command once, under its request.

The server is not MongoDB itself, which no wheel carries: nx-27017 speaks its protocol.
"""

from __future__ import annotations

import asyncio
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pymongo
import pymongo.errors
import pymongo.monitoring
import pytest
from tests.libraries.conftest import line_of

from asynchooks import libraries
from asynchooks.tracing import StatusCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.libraries.conftest import Trace

    from asynchooks.tracing import Span

    Client = pymongo.MongoClient[dict[str, Any]]

pytestmark = pytest.mark.slow

# Until 4.8 there is no client for asyncio.
ASYNC = pytest.mark.skipif(
    not hasattr(pymongo, "AsyncMongoClient"), reason="this PyMongo has no client for asyncio"
)


def connect(url: str, **options: Any) -> Any:
    return pymongo.MongoClient(url, **options)


def connect_async(url: str, **options: Any) -> Any:
    return pymongo.AsyncMongoClient(url, **options)


@pytest.fixture
def client(trace: Trace, mongodb: str) -> Iterator[Client]:
    """A client with ten lamps."""
    with connect(mongodb) as client:
        lamps = client.shop.lamps
        lamps.drop()
        lamps.insert_many({"_id": number, "name": "desk"} for number in range(10))
        yield client


WAYS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "find": ("find", lambda lamps: lamps.find_one({"name": "desk"})),
    "insert": ("insert", lambda lamps: lamps.insert_one({"_id": 20})),
    "insert many": ("insert", lambda lamps: lamps.insert_many([{"_id": 20}, {"_id": 21}])),
    "update": ("update", lambda lamps: lamps.update_one({"_id": 1}, {"$set": {"name": "desk"}})),
    "delete": ("delete", lambda lamps: lamps.delete_one({"name": "desk"})),
    "count": ("aggregate", lambda lamps: lamps.count_documents({"name": "desk"})),
    "modify": ("findAndModify", lambda lamps: lamps.find_one_and_delete({"name": "desk"})),
}


def check(span: Span, way: str, url: str) -> None:
    operation = WAYS[way][0]
    assert span.name == f"{operation} lamps"
    assert span.attributes == {
        "db.system.name": "mongodb",
        "db.operation.name": operation,
        "db.collection.name": "lamps",
        "db.query.summary": f"{operation} lamps",
        "db.namespace": "shop",
        "server.address": "127.0.0.1",
        "server.port": int(url.rpartition(":")[2]),
        **({"db.operation.batch.size": 2} if way == "insert many" else {}),
    }
    assert span.call_site is not None
    assert span.call_site[0].co_filename == __file__


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_one_span(trace: Trace, mongodb: str, client: Client, way: str) -> None:
    with trace.request():
        WAYS[way][1](client.shop.lamps)
    check(trace.query(), way, mongodb)


@ASYNC
@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_asyncio_is_one_span(
    trace: Trace, mongodb: str, client: Client, way: str
) -> None:
    async def main() -> None:
        async with connect_async(mongodb) as client:
            with trace.request():
                await WAYS[way][1](client.shop.lamps)

    asyncio.run(main())
    check(trace.query(), way, mongodb)


def test_the_span_s_line_is_the_user_s(trace: Trace, client: Client) -> None:
    def handle() -> None:
        client.shop.lamps.find_one()

    with trace.request():
        handle()
    assert line_of(trace.query(), handle.__code__) == 1


@ASYNC
def test_the_span_s_line_is_the_one_that_awaits(trace: Trace, mongodb: str) -> None:
    async def handle(client: Any) -> None:
        await client.shop.lamps.find_one()

    async def main() -> None:
        async with connect_async(mongodb) as client:
            with trace.request():
                await handle(client)

    asyncio.run(main())
    assert line_of(trace.query(), handle.__code__) == 1


def test_each_batch_of_a_cursor_is_a_span(trace: Trace, client: Client) -> None:
    with trace.request():
        assert len(list(client.shop.lamps.find(batch_size=4))) == 10
    names = [span.name for span in trace.query_spans()]
    assert names == ["find lamps", "getMore lamps", "getMore lamps"]


def test_a_failed_command_is_failed_and_its_exception_unchanged(
    trace: Trace, client: Client
) -> None:
    def run() -> list[str]:
        with trace.request(), pytest.raises(pymongo.errors.OperationFailure) as caught:
            client.shop.lamps.find_one({"name": {"$nonsense": 1}})
        return [frame.name for frame in traceback.extract_tb(caught.tb)]

    traced = run()
    span = trace.failed_query()
    assert span.attributes["error.type"] == "pymongo.errors.OperationFailure"
    libraries.uninstall()
    assert run() == traced


def test_the_status_of_a_failure_is_the_server_s_code(trace: Trace) -> None:
    """The server of these tests has none, so this is what PyMongo publishes of MongoDB's."""
    listeners = pymongo.monitoring._EventListeners(None)
    address = ("127.0.0.1", 27017)
    with trace.request():
        listeners.publish_command_start({"nonsense": 1}, "shop", 7, address, None)
        listeners.publish_command_failure(
            timedelta(), {"ok": 0, "code": 59}, "nonsense", 7, address, None
        )
    span = trace.query()
    assert span.status_code is StatusCode.ERROR
    assert span.attributes["db.response.status_code"] == "59"


def test_what_cannot_be_written_fails_its_command(trace: Trace, client: Client) -> None:
    with trace.request(), pytest.raises(pymongo.errors.DuplicateKeyError):
        client.shop.lamps.insert_one({"_id": 1})
    span = trace.query()
    assert span.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "11000"
    assert span.attributes["db.response.status_code"] == "11000"


def test_outside_of_a_request_nothing_is_recorded(trace: Trace, client: Client) -> None:
    client.shop.lamps.find_one()
    assert trace.spans == []


def test_a_client_has_no_listener_of_ours(trace: Trace, client: Client) -> None:
    assert client.options.event_listeners == []


def test_a_listener_of_the_application_hears_the_same(trace: Trace, mongodb: str) -> None:
    class Listener(pymongo.monitoring.CommandListener):
        def started(self, event: pymongo.monitoring.CommandStartedEvent) -> None:
            heard.append(event.command_name)

        def succeeded(self, event: pymongo.monitoring.CommandSucceededEvent) -> None:
            heard.append("succeeded")

        def failed(self, event: pymongo.monitoring.CommandFailedEvent) -> None:
            heard.append("failed")

    heard: list[str] = []
    with connect(mongodb, event_listeners=[Listener()]) as client:
        client.shop.lamps.find_one()
        with trace.request():
            client.shop.lamps.find_one()
        told = list(heard)
    assert told == ["find", "succeeded"] * 2
    assert len(trace.query_spans()) == 1


NUMBERS = range(50)


def expected() -> dict[str, list[str]]:
    return {f"r{number}": [f"find lamps{number}"] * 2 for number in NUMBERS}


def found(trace: Trace) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for span in trace.query_spans():
        assert span.request is not None
        names.setdefault(span.request.id, []).append(span.name)
    return names


def test_a_pool_between_many_threads(trace: Trace, mongodb: str) -> None:
    def handler(number: int) -> None:
        with trace.request(f"r{number}"):
            for _ in range(2):
                several.shop[f"lamps{number}"].find_one()

    with connect(mongodb, maxPoolSize=3) as several, ThreadPoolExecutor(10) as threads:
        list(threads.map(handler, NUMBERS))
    assert found(trace) == expected()


@ASYNC
def test_a_pool_between_many_requests(trace: Trace, mongodb: str) -> None:
    async def handler(client: Any, number: int) -> None:
        with trace.request(f"r{number}"):
            for _ in range(2):
                await client.shop[f"lamps{number}"].find_one()

    async def main() -> None:
        async with connect_async(mongodb, maxPoolSize=3) as client:
            await asyncio.gather(*(handler(client, number) for number in NUMBERS))

    asyncio.run(main())
    assert found(trace) == expected()


def test_waiting_for_the_pool_is_a_span(trace: Trace, mongodb: str) -> None:
    with connect(mongodb, maxPoolSize=1, waitQueueTimeoutMS=20, retryReads=False) as client:
        client.shop.lamps.find_one()
        (server,) = client._topology._servers.values()
        # It was of another name until 4.8.
        take = getattr(server.pool, "checkout", None) or server.pool.get_socket
        with (
            take(),
            trace.request(),
            pytest.raises(pymongo.errors.WaitQueueTimeoutError),
        ):
            client.shop.lamps.find_one()
    span = trace.named("wait for a pooled connection")
    assert span.attributes["error.type"] == "pymongo.errors.WaitQueueTimeoutError"

"""Messages, with real brokers: those that a callback is given, and those that the application asks
for, in a request and outside of any."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Any

import aio_pika
import aio_pika.patterns
import aiokafka  # type: ignore[import-untyped]
import nats
import nats.aio.client
import pytest
from tests.integration.conftest import Process, free_port
from tests.libraries.jobs import check, of_kind, seen, work

import asynchooks
from asynchooks.tracing import (
    Request,
    Span,
    SpanKind,
    StatusCode,
    current_request,
    start_span,
    suppress_tracing,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.libraries.conftest import Trace

DEADLINE = 60.0


@pytest.fixture
def nats_url(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = ["nats-server", "--addr", "127.0.0.1", "--port", str(port), "--jetstream"]
    with Process([*command, "--store_dir", str(tmp_path)], tmp_path) as server:
        server.wait_until(lambda: "Server is ready" in server.output, "NATS is ready")
        yield f"nats://127.0.0.1:{port}"


@pytest.mark.slow
@pytest.mark.parametrize("is_stream", [False, True])
def test_nats(trace: Trace, nats_url: str, is_stream: bool) -> None:
    errors: list[Exception] = []

    async def main() -> Request:
        done = asyncio.Event()

        async def remember(exc: Exception) -> None:
            errors.append(exc)

        async def handle(message: Any) -> None:
            await asyncio.sleep(0)
            if message.data == b"end":
                done.set()
            else:
                work(message.data.decode())

        client = await nats.connect(nats_url, error_cb=remember)
        target: Any = client
        if is_stream:
            target = client.jetstream()
            await target.add_stream(name="shop", subjects=["orders"])
        await target.subscribe("orders", cb=handle)
        with trace.request("r42") as sender:
            await target.publish("orders", b"a")
            await target.publish("orders", b"fail")
        await target.publish("orders", b"end")
        await asyncio.wait_for(done.wait(), 60)
        await client.close()
        return sender

    sender = asyncio.run(main())
    assert [type(error) for error in errors] == [LookupError]
    # The last was sent by nobody.
    unsent = [span for span in of_kind(trace, SpanKind.CONSUMER) if not span.links]
    assert len(unsent) == 1
    trace.spans.remove(unsent[0])
    check(trace, sender, "nats", "orders", "orders")


@pytest.mark.slow
def test_a_request_and_its_reply_over_nats(trace: Trace, nats_url: str) -> None:
    async def main() -> Request:
        async def answer(message: Any) -> None:
            work("a")
            await message.respond(b"answer")

        client = await nats.connect(nats_url)
        await client.subscribe("questions", cb=answer)
        with trace.request("r42") as sender:
            reply = await client.request("questions", b"?", timeout=30)
        assert reply.data == b"answer"
        await client.close()
        return sender

    sender = asyncio.run(main())
    (sent,) = of_kind(trace, SpanKind.PRODUCER)
    (run,) = of_kind(trace, SpanKind.CONSUMER)
    assert sent.parent == sender.span.context
    assert [link.context.span_id for link in run.links] == [sent.context.span_id]


# ---- Kafka ---------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def kafka_producer(address: str) -> AsyncIterator[Any]:
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=address) as producer:
        yield producer


def kafka_consumer(address: str, **options: Any) -> Any:
    return aiokafka.AIOKafkaConsumer(
        "orders", bootstrap_servers=address, auto_offset_reset="earliest", **options
    )


async def handle(name: str) -> None:
    await asyncio.sleep(0)
    with contextlib.suppress(LookupError):
        work(name)


def test_kafka(trace: Trace, kafka: str) -> None:
    """Until the next is asked for, the task works on the one that came."""

    async def consume() -> None:
        count = 0
        async with kafka_consumer(kafka) as consumer:
            with pytest.raises(LookupError):
                async for record in consumer:
                    count += 1
                    await asyncio.sleep(0)
                    if count == 2:
                        break
                    work("a")
                work("fail")
        assert current_request() is None

    async def main() -> Request:
        async with kafka_producer(kafka) as producer:
            with trace.request("r42") as sender:
                await producer.send_and_wait("orders", b"a")
                await (await producer.send("orders", b"b"))
        await asyncio.create_task(consume())
        return sender

    sender = asyncio.run(main())
    print([(s.name, s.attributes, s.status_code) for s in trace.spans])

"""NATS: messages that a callback is given, and those that a subscription is asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import nats
import nats.aio.client
import nats.js
import pytest
from tests.integration.conftest import Process, free_port
from tests.libraries.jobs import check, of_kind, seen, senders_of, work

from asynchooks.tracing import (
    Request,
    SpanKind,
    StatusCode,
    current_request,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
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


async def next_messages(client: Any, subscription: Any) -> None:
    while True:
        message = await subscription.next_msg(timeout=DEADLINE)
        await asyncio.sleep(0)
        work(message.data.decode())


async def iterate_messages(client: Any, subscription: Any) -> None:
    async for message in subscription.messages:
        await asyncio.sleep(0)
        work(message.data.decode())


@pytest.mark.slow
@pytest.mark.parametrize("consume", [next_messages, iterate_messages])
def test_a_nats_subscription_that_is_asked(trace: Trace, nats_url: str, consume: Any) -> None:
    async def main() -> Request:
        client = await nats.connect(nats_url)
        subscription = await client.subscribe("orders")
        with trace.request("r42") as sender:
            await client.publish("orders", b"a")
            await client.publish("orders", b"fail")
        with pytest.raises(LookupError, match="no such lamp"):
            await asyncio.create_task(consume(client, subscription))
        await client.close()
        return sender

    check(trace, asyncio.run(main()), "nats", "orders", "orders")


@pytest.mark.slow
def test_a_nats_stream_that_is_pulled(trace: Trace, nats_url: str) -> None:
    async def consume(client: Any, subscription: Any) -> None:
        (message,) = await subscription.fetch(timeout=DEADLINE)
        work(message.data.decode())
        messages = await subscription.fetch(2, timeout=DEADLINE)
        work("b")
        await asyncio.gather(*(message.ack() for message in messages))
        await client.close()
        assert current_request() is None

    async def main() -> None:
        client = await nats.connect(nats_url)
        stream = client.jetstream()
        await stream.add_stream(name="shop", subjects=["orders"])
        subscription = await stream.pull_subscribe("orders", "cooks")
        with trace.request("r43"):
            with pytest.raises(TimeoutError):
                await subscription.fetch(timeout=0.01)
            for _ in range(3):
                await stream.publish("orders", b"a")
        await asyncio.create_task(consume(client, subscription))

    asyncio.run(main())
    sent = [span.context.span_id for span in of_kind(trace, SpanKind.PRODUCER)]
    (in_vain,) = of_kind(trace, SpanKind.CLIENT)
    assert in_vain.name == "receive"
    assert in_vain.status_code is StatusCode.UNSET
    first, second = of_kind(trace, SpanKind.CONSUMER)
    assert (senders_of(first), senders_of(second)) == (sent[:1], sent[1:])
    assert first.attributes["messaging.batch.message_count"] == 1
    assert second.attributes["messaging.batch.message_count"] == 2
    assert seen == [first.request, second.request]


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(nats.js.JetStreamContext, "create_object_store"),
    reason="this nats-py has no object stores",
)
def test_what_nats_reads_for_itself_is_no_message(trace: Trace, nats_url: str) -> None:
    async def consume(client: Any, subscription: Any, objects: Any) -> None:
        await subscription.next_msg(timeout=DEADLINE)
        job = current_request()
        assert job is not None
        assert (await objects.get("lamp")).data == b"light"
        assert current_request() is job

    async def main() -> None:
        client = await nats.connect(nats_url)
        objects = await client.jetstream().create_object_store("shop")
        await objects.put("lamp", b"light")
        subscription = await client.subscribe("orders")
        await client.publish("orders", b"")
        await asyncio.create_task(consume(client, subscription, objects))
        await client.close()

    asyncio.run(main())
    assert [span.name for span in trace.spans] == ["process orders"]

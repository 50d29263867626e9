"""aio-pika, with a real RabbitMQ: messages that a callback is given, and what is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from typing import TYPE_CHECKING, Any

import aio_pika
import aio_pika.patterns
import aio_pika.tools
import pytest
import taskiq
from tests.libraries.jobs import check, of_kind, seen, senders_of, work

from asynchooks.tracing import (
    Request,
    SpanKind,
    StatusCode,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from tests.libraries.conftest import Trace

DEADLINE = 60.0


@contextlib.asynccontextmanager
async def rabbitmq_queue(
    url: str, connect: Any = aio_pika.connect
) -> AsyncIterator[tuple[Any, Any]]:
    """A channel, and an empty queue "orders"."""
    async with await connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("orders")
        await queue.purge()
        yield channel, queue


async def publish(trace: Trace, exchange: Any, *names: str, routing_key: str = "orders") -> Request:
    """Publish these in a request, and find that they have stayed as they were."""
    with trace.request("r42") as sender:
        for name in names:
            message = aio_pika.Message(name.encode(), headers={"mine": 1})
            await exchange.publish(message, routing_key)
            assert message.headers == {"mine": 1}
            assert message.message_id is None
    return sender


async def wait_until_worked(count: int) -> None:
    async with asyncio.timeout(DEADLINE):
        while len(seen) < count:
            await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        "coroutine function",
        pytest.param(
            "returns a coroutine",
            marks=pytest.mark.skipif(
                "non awaitable" not in inspect.getsource(aio_pika.tools),
                reason="this aio-pika awaits nothing that a function returns",
            ),
        ),
        "function",
    ],
)
@pytest.mark.filterwarnings("ignore:You probably registering the non-coroutine:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Function .* returned a non awaitable:DeprecationWarning")
def test_rabbitmq(trace: Trace, rabbitmq: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    headers: list[Any] = []

    def handle(message: Any) -> None:
        headers.append(message.headers)
        work(message.body.decode())

    async def handle_async(message: Any) -> None:
        async with message.process():
            await asyncio.sleep(0)
            handle(message)

    callbacks: dict[str, Any] = {
        "coroutine function": handle_async,
        "returns a coroutine": lambda message: handle_async(message),
        "function": handle,
    }

    async def main() -> Request:
        async with rabbitmq_queue(rabbitmq) as (channel, queue):
            await queue.consume(callbacks[kind], no_ack=kind == "function")
            sender = await publish(trace, channel.default_exchange, "a", "fail")
            await wait_until_worked(2)
        return sender

    check(trace, asyncio.run(main()), "rabbitmq", "orders", "orders")
    assert [sorted(one) for one in headers] == [["mine", "traceparent", "x-request-id"]] * 2
    for number, span in enumerate(of_kind(trace, SpanKind.CONSUMER)):
        assert span.attributes["messaging.rabbitmq.destination.routing_key"] == "orders"
        assert span.attributes["messaging.rabbitmq.message.delivery_tag"] == number + 1


async def iterate_queue(queue: Any) -> None:
    async with queue.iterator() as messages:
        async for message in messages:
            async with message.process():
                await asyncio.sleep(0)
                work(message.body.decode())


async def get_from_queue(queue: Any) -> None:
    while True:
        message = await queue.get()
        await message.ack()
        work(message.body.decode())


@pytest.mark.slow
@pytest.mark.parametrize("consume", [iterate_queue, get_from_queue])
@pytest.mark.parametrize("connect", [aio_pika.connect, aio_pika.connect_robust])
def test_a_rabbitmq_queue_that_is_asked(
    trace: Trace, rabbitmq: str, connect: Any, consume: Any
) -> None:
    """Of an exchange that it is bound to, whose name and routing key are told with its own."""

    async def main() -> Request:
        async with rabbitmq_queue(rabbitmq, connect) as (channel, queue):
            exchange = await channel.declare_exchange("shop", auto_delete=True)
            await queue.bind(exchange, "created")
            sender = await publish(trace, exchange, "a", "fail", routing_key="created")
            with pytest.raises(LookupError, match="no such lamp"):
                await asyncio.create_task(consume(queue))
        return sender

    sender = asyncio.run(main())
    name = "shop:created"
    check(trace, sender, "rabbitmq", name, name, queue=f"{name}:orders")
    failed = of_kind(trace, SpanKind.CONSUMER)[1]
    assert len(failed.events) == 1  # told once


@pytest.mark.slow
def test_a_request_that_asks_a_rabbitmq_queue(trace: Trace, rabbitmq: str) -> None:
    async def main() -> Request:
        async with rabbitmq_queue(rabbitmq) as (channel, queue):
            await publish(trace, channel.default_exchange, "a")
            with trace.request("r43") as asker:
                with pytest.raises(LookupError):
                    async with (await queue.get()).process():
                        raise LookupError("no such lamp")
                assert await queue.get(fail=False) is None
                with pytest.raises(aio_pika.exceptions.QueueEmpty):
                    await queue.get()
        return asker

    asker = asyncio.run(main())
    assert asker.span.status_code is StatusCode.UNSET  # it has handled the failure
    received = of_kind(trace, SpanKind.CLIENT)
    assert {span.name for span in received} == {"receive orders"}
    assert {span.status_code for span in received} == {StatusCode.UNSET}
    assert [len(span.links) for span in received] == [1, 0, 0]


@pytest.mark.slow
def test_a_call_over_rabbitmq_and_its_result(trace: Trace, rabbitmq: str) -> None:
    async def answer(question: str) -> str:
        work("a")
        return f"{question}!"

    async def main() -> Request:
        connection = await aio_pika.connect_robust(rabbitmq)
        async with connection:
            channel = await connection.channel()
            rpc = await aio_pika.patterns.RPC.create(channel)
            await rpc.register("ask", answer, auto_delete=True)
            with trace.request("r42") as sender:
                assert await rpc.proxy.ask(question="?") == "?!"
        return sender

    sender = asyncio.run(main())
    call, result = sorted(of_kind(trace, SpanKind.PRODUCER), key=lambda span: span.start_time)
    (run,) = of_kind(trace, SpanKind.CONSUMER)
    assert call.parent == sender.span.context
    assert senders_of(run) == [call.context.span_id]
    assert result.request is run.request
    conversation = call.attributes["messaging.message.conversation_id"]
    assert result.attributes["messaging.message.conversation_id"] == conversation
    assert seen == [run.request]


@pytest.mark.slow
def test_the_tasks_of_a_connection_are_no_part_of_the_request_that_opens_it(
    trace: Trace, rabbitmq: str
) -> None:
    async def main() -> None:
        handled = asyncio.Event()

        async def handle(message: Any) -> None:
            handled.set()

        with trace.request():
            connection = await aio_pika.connect(rabbitmq)
            channel = await connection.channel()
            queue = await channel.declare_queue("cooks", auto_delete=True)
            await queue.consume(handle, no_ack=True)
            await channel.default_exchange.publish(aio_pika.Message(b""), "cooks")
            await handled.wait()
        await connection.close()

    asyncio.run(main())
    tasks = {span.name.rpartition(".")[2] for span in trace.spans if span.name.startswith("task ")}
    assert "handle" in tasks  # it was registered in the request
    assert tasks.isdisjoint(("_reader", "__reader", "__writer", "__heartbeat", "rpc", "connect"))


class RabbitMQBroker(taskiq.AsyncBroker):
    """As taskiq's brokers over queues are: it asks for one message after the other."""

    def __init__(self, channel: Any, queue: Any) -> None:
        super().__init__()
        self.channel = channel
        self.queue = queue

    async def kick(self, message: taskiq.BrokerMessage) -> None:
        await self.channel.default_exchange.publish(aio_pika.Message(message.message), "orders")

    async def listen(self) -> AsyncGenerator[taskiq.AckableMessage, None]:
        async with self.queue.iterator() as messages:
            async for message in messages:
                yield taskiq.AckableMessage(data=message.body, ack=message.ack)


@pytest.mark.slow
def test_a_task_of_taskiq_is_one_job(trace: Trace, rabbitmq: str) -> None:
    async def main() -> Request:
        async with rabbitmq_queue(rabbitmq) as (channel, queue):
            broker = RabbitMQBroker(channel, queue)

            @broker.task(task_name="work")
            async def task(name: str) -> None:
                work(name)

            with trace.request("r42") as sender:
                await task.kiq("a")
                await task.kiq("b")
            receiver = taskiq.receiver.receiver.Receiver(broker, max_async_tasks=2)
            takes_event = bool(inspect.signature(receiver.listen).parameters)  # a newer one
            listen: Any = receiver.listen
            listening = asyncio.create_task(listen(asyncio.Event()) if takes_event else listen())
            async with asyncio.timeout(DEADLINE):
                while len(of_kind(trace, SpanKind.CONSUMER)) < 2:
                    await asyncio.sleep(0.01)
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
            return sender

    sender = asyncio.run(main())
    jobs = of_kind(trace, SpanKind.CONSUMER)
    assert [job.name for job in jobs] == ["process work"] * 2
    assert {link.context.trace_id for job in jobs for link in job.links} == {
        sender.span.context.trace_id
    }

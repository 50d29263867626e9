"""aiokafka, with the broker that librdkafka brings along: what is sent, and what is asked for, in a
request and outside of any."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.libraries.jobs import check, of_kind, seen, senders_of, work

import asynchooks
from asynchooks.tracing import (
    Request,
    SpanKind,
    StatusCode,
    current_request,
    suppress_tracing,
)

if TYPE_CHECKING:
    from tests.libraries.conftest import Trace

aiokafka = pytest.importorskip("aiokafka", reason="no wheel of it for this Python")

DEADLINE = 60.0


def kafka_consumer(address: str, **options: Any) -> Any:
    return aiokafka.AIOKafkaConsumer(
        "orders", bootstrap_servers=address, auto_offset_reset="earliest", **options
    )


async def send_to_kafka(trace: Trace, address: str, *names: str) -> Request:
    """Send these, in this order, in a request."""
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=address) as producer:
        with trace.request("r42") as sender:
            for name in names:
                await producer.send_and_wait("orders", name.encode(), partition=0)
    return sender


async def iterate(consumer: Any) -> None:
    async for record in consumer:
        await asyncio.sleep(0)
        work(record.value.decode())


async def get_one_by_one(consumer: Any) -> None:
    while True:
        record = await consumer.getone()
        await asyncio.sleep(0)
        work(record.value.decode())


async def wait_for_each(consumer: Any) -> None:
    while True:
        record = await asyncio.wait_for(consumer.getone(), DEADLINE)
        await asyncio.sleep(0)
        work(record.value.decode())


@pytest.mark.parametrize(
    "consume",
    [
        iterate,
        get_one_by_one,
        pytest.param(
            wait_for_each,
            marks=pytest.mark.skipif(
                sys.version_info < (3, 12), reason="wait_for() asks in a task of its own"
            ),
        ),
    ],
)
def test_kafka(trace: Trace, kafka: str, consume: Any) -> None:
    """The task works on a message until it asks for the next, and on the last until it closes the
    consumer, here for it has failed."""

    async def consume_and_close() -> None:
        async with kafka_consumer(kafka) as consumer:
            await consume(consumer)

    async def main() -> Request:
        sender = await send_to_kafka(trace, kafka, "a", "fail")
        with pytest.raises(LookupError, match="no such lamp"):
            await asyncio.create_task(consume_and_close())
        return sender

    check(trace, asyncio.run(main()), "kafka", "orders", "orders")
    for number, span in enumerate(of_kind(trace, SpanKind.CONSUMER)):
        assert span.attributes["messaging.destination.partition.id"] == "0"
        assert span.attributes["messaging.kafka.offset"] == number
        assert len([event for event in span.events if event.name == "exception"]) == number
    for number, span in enumerate(of_kind(trace, SpanKind.PRODUCER)):
        assert span.attributes["messaging.destination.partition.id"] == "0"
        assert span.attributes["messaging.kafka.offset"] == number


def test_the_end_of_its_task_ends_the_last_job(trace: Trace, kafka: str) -> None:
    async def main() -> Request:
        sender = await send_to_kafka(trace, kafka, "a", "fail")
        async with kafka_consumer(kafka) as consumer:
            with pytest.raises(LookupError, match="no such lamp"):
                await asyncio.create_task(iterate(consumer))
            assert len(of_kind(trace, SpanKind.CONSUMER)) == 2
        return sender

    check(trace, asyncio.run(main()), "kafka", "orders", "orders")


def test_a_task_that_is_cancelled_at_work_has_not_failed(trace: Trace, kafka: str) -> None:
    async def main() -> None:
        await send_to_kafka(trace, kafka, "a")
        at_work = asyncio.Event()

        async def consume() -> None:
            async with kafka_consumer(kafka) as consumer:
                async for _ in consumer:
                    at_work.set()
                    await asyncio.Event().wait()

        task = asyncio.create_task(consume())
        await at_work.wait()
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    (run,) = of_kind(trace, SpanKind.CONSUMER)
    assert run.attributes["asynchooks.cancelled"] is True
    assert run.status_code is StatusCode.UNSET


def test_wait_for_tells_at_least_that_a_message_came(trace: Trace, kafka: str) -> None:
    async def main() -> None:
        await send_to_kafka(trace, kafka, "a")
        async with kafka_consumer(kafka) as consumer:
            await asyncio.wait_for(consumer.getone(), DEADLINE)
            is_own_task = sys.version_info < (3, 12)
            assert (current_request() is None) is is_own_task
            assert len(of_kind(trace, SpanKind.CONSUMER)) == is_own_task
        assert current_request() is None

    asyncio.run(main())
    (sent,) = of_kind(trace, SpanKind.PRODUCER)
    (run,) = of_kind(trace, SpanKind.CONSUMER)
    assert senders_of(run) == [sent.context.span_id]


@pytest.mark.parametrize("is_each", [False, True])
def test_the_tasks_of_a_message_belong_to_it_and_the_next_message_does_not(
    trace: Trace, kafka: str, is_each: bool
) -> None:
    """Also where the loop is one of `each`, and where a task asks that has inherited a job."""
    names = [str(number) for number in range(8)]

    async def main() -> None:
        go_on = asyncio.Event()

        async def handle(name: str) -> None:
            await go_on.wait()
            work(name)

        async def consume(consumer: Any) -> None:
            records = asynchooks.each(consumer) if is_each else consumer
            async with asyncio.TaskGroup() as group:
                async for record in records:
                    name = record.value.decode()
                    group.create_task(handle(name))
                    if name == "3":
                        break
                await asyncio.create_task(inherit(consumer))
                go_on.set()

        async def inherit(consumer: Any) -> None:
            for _ in range(4):
                record = await consumer.getone()
                work(record.value.decode())

        await send_to_kafka(trace, kafka, *names)
        async with kafka_consumer(kafka) as consumer:
            await asyncio.create_task(consume(consumer))

    asyncio.run(main())
    jobs = {span.context.trace_id: span for span in of_kind(trace, SpanKind.CONSUMER)}
    senders = [senders_of(jobs[trace.named(f"work {n}").context.trace_id]) for n in names]
    assert senders == [[span.context.span_id] for span in of_kind(trace, SpanKind.PRODUCER)]


def test_what_a_request_asks_for_is_part_of_it(trace: Trace, kafka: str) -> None:
    async def main() -> Request:
        await send_to_kafka(trace, kafka, "a", "b")
        async with kafka_consumer(kafka) as consumer:
            with trace.request("r43") as asker:
                await consumer.getone()
                assert current_request() is asker
                assert len(await consumer.getmany(timeout_ms=10_000)) == 1
                assert await consumer.getmany(timeout_ms=1) == {}
                in_vain = asyncio.create_task(consumer.getone())
                await asyncio.sleep(0)
                in_vain.cancel()
                await asyncio.wait([in_vain])
                work("c")
        return asker

    asker = asyncio.run(main())
    assert of_kind(trace, SpanKind.CONSUMER) == []
    sent = [span.context.span_id for span in of_kind(trace, SpanKind.PRODUCER)]
    received = of_kind(trace, SpanKind.CLIENT)
    assert [senders_of(span) for span in received] == [sent[:1], sent[1:], [], []]
    assert {span.request for span in received} == {asker}
    assert {span.name for span in received} == {"receive orders"}
    counts = [span.attributes.get("messaging.batch.message_count") for span in received]
    assert counts == [None, 1, 0, None]
    assert {span.status_code for span in received} == {StatusCode.UNSET}
    for span in received:
        assert span.call_site is not None
        assert span.call_site[0].co_filename == __file__
        assert span.attributes["messaging.operation.type"] == "receive"
        assert span.attributes["messaging.destination.name"] == "orders"
    assert seen == [asker]


def test_some_at_a_time_are_one_job_that_is_linked_to_all_senders(trace: Trace, kafka: str) -> None:
    async def consume() -> None:
        async with kafka_consumer(kafka) as consumer:
            (records,) = (await consumer.getmany(timeout_ms=10_000)).values()
            for record in asynchooks.each(records):
                work(record.value.decode())

    async def main() -> None:
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            batch = producer.create_batch()
            for name in ("a", "b"):
                with trace.request(f"r{name}"):
                    batch.append(key=None, value=name.encode(), timestamp=None)
            batch.append(key=None, value=b"c", timestamp=None, headers=[("mine", b"1")])
            with trace.request("r44"):
                await (await producer.send_batch(batch, "orders", partition=3))
        await asyncio.create_task(consume())

    asyncio.run(main())
    (sent,) = of_kind(trace, SpanKind.PRODUCER)
    assert sent.attributes["messaging.batch.message_count"] == 3
    assert sent.attributes["messaging.destination.partition.id"] == "3"
    (run,) = of_kind(trace, SpanKind.CONSUMER)
    senders = {span.request.id: span for span in of_kind(trace, SpanKind.SERVER) if span.request}
    assert senders_of(run) == [senders[f"r{name}"].context.span_id for name in "ab"]
    assert run.attributes["messaging.batch.message_count"] == 3
    assert run.attributes["messaging.destination.partition.id"] == "3"
    assert "messaging.kafka.offset" not in run.attributes
    assert run.request is not None
    assert run.request.id not in senders
    assert seen == [run.request] * 3


def test_the_application_keeps_its_headers(trace: Trace, kafka: str) -> None:
    own = [("mine", b"1"), ("nothing", None)]
    passed_on = [("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")]

    async def main() -> list[Any]:
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            await producer.send_and_wait("orders", b"", partition=0)
            with trace.request():
                await producer.send_and_wait("orders", b"", partition=0, headers=own)
                await producer.send_and_wait("orders", b"", None, 0, None, passed_on)
                with suppress_tracing():
                    await producer.send_and_wait("orders", b"", partition=0, headers=None)
        async with kafka_consumer(kafka) as consumer:
            return [(await consumer.getone()).headers for _ in range(4)]

    unsent, sent, passed, suppressed = asyncio.run(main())
    assert own == [("mine", b"1"), ("nothing", None)]
    assert unsent == ()
    assert [name for name, _ in sent] == ["mine", "nothing", "traceparent", "x-request-id"]
    assert [*passed] == passed_on
    assert suppressed == ()
    jobs = of_kind(trace, SpanKind.CONSUMER)
    assert [senders_of(job) for job in jobs[2:3]] == [[int("2" * 16, 16)]]


def test_a_message_whose_delivery_nobody_awaits(trace: Trace, kafka: str) -> None:
    async def main() -> None:
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=10) as producer:
            with trace.request():
                (await producer.send("orders", b"a")).cancel()
                with pytest.raises(AssertionError):
                    await producer.send("orders")

    asyncio.run(main())
    cancelled, refused = sorted(of_kind(trace, SpanKind.PRODUCER), key=lambda span: span.start_time)
    assert cancelled.attributes["asynchooks.cancelled"] is True
    assert cancelled.status_code is StatusCode.UNSET
    assert refused.attributes["error.type"] == "AssertionError"


@pytest.mark.slow  # groups take their seconds to form
def test_a_group_of_consumers(trace: Trace, kafka: str) -> None:
    async def consume() -> None:
        async with kafka_consumer(kafka, group_id="cooks") as consumer:
            await iterate(consumer)

    async def main() -> Request:
        sender = await send_to_kafka(trace, kafka, "a", "fail")
        with pytest.raises(LookupError, match="no such lamp"):
            await asyncio.create_task(consume())
        return sender

    check(trace, asyncio.run(main()), "kafka", "orders", "orders")
    for span in of_kind(trace, SpanKind.CONSUMER):
        assert span.attributes["messaging.consumer.group.name"] == "cooks"


def test_the_tasks_of_a_client_are_no_part_of_the_request_that_starts_it(
    trace: Trace, kafka: str
) -> None:
    async def main() -> None:
        with trace.request():
            producer = aiokafka.AIOKafkaProducer(bootstrap_servers=kafka)
            await producer.start()
            await producer.send_and_wait("orders", b"a")
            consumer = kafka_consumer(kafka)
            await consumer.start()
            await consumer.getone()
        await producer.stop()
        await consumer.stop()

    asyncio.run(main())
    assert sorted({span.name for span in trace.spans}) == ["GET", "receive orders", "send orders"]

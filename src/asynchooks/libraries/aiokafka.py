"""aiokafka: sending is a span, which lasts until the broker has the message, and whose context
travels in its headers; what a consumer is asked for is a job of its own, or part of the request
that asks (`fetches`)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded
from asynchooks.libraries.fetches import closing, fetching, follow_tasks
from asynchooks.libraries.jobs import Message, carries_on, headers_here, sending, start_sending

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Span
    from asynchooks.tracing.span import AttributeValue

NAME = "aiokafka"
MODULE = "aiokafka"
SUPPORTED = ("0.8", "1")

_PARTITION = "messaging.destination.partition.id"
_OFFSET = "messaging.kafka.offset"


def install(patches: Patches, module: ModuleType) -> None:
    # The application has imported it.
    from aiokafka.producer import message_accumulator  # type: ignore[import-untyped]

    follow_tasks(patches)
    patches.wrap(module.AIOKafkaProducer, "send", _make_send)
    patches.wrap(module.AIOKafkaProducer, "send_batch", _make_send_batch)
    patches.wrap(message_accumulator.BatchBuilder, "append", _make_append)
    consumer = module.AIOKafkaConsumer
    patches.wrap(consumer, "getone", fetching("kafka", _one, where=_topic_of))
    patches.wrap(consumer, "getmany", fetching("kafka", _many, where=_topic_of, is_batch=True))
    patches.wrap(consumer, "stop", closing)


def _make_send(original: Any) -> Any:
    @functools.wraps(original)
    async def send(self: Any, topic: str, *args: Any, **kwargs: Any) -> Any:
        scope = sending(guarded(original, start_sending, "kafka", topic))
        with scope:
            delivery = await original(self, topic, *args, **kwargs)
            guarded(original, scope.lasts_until, delivery, _delivered)
            return delivery

    return send


def _make_send_batch(original: Any) -> Any:
    @functools.wraps(original)
    async def send_batch(self: Any, batch: Any, topic: str, **kwargs: Any) -> Any:
        scope = sending(guarded(original, _begin_batch, batch, topic))
        with scope:
            delivery = await original(self, batch, topic, **kwargs)
            guarded(original, scope.lasts_until, delivery, _delivered)
            return delivery

    return send_batch


def _begin_batch(batch: Any, topic: str) -> Span | None:
    count = {"messaging.batch.message_count": batch.record_count()}
    return start_sending("kafka", topic, attributes=count)


def _delivered(span: Span, record: Any) -> None:
    if record is not None:  # where the broker is not asked to tell
        span.set_attribute(_PARTITION, str(record.partition))
        span.set_attribute(_OFFSET, record.offset)


def _make_append(original: Any) -> Any:
    """Of what all messages are put into, those of `send` and those of batches that the application
    fills itself."""

    @functools.wraps(original)
    def append(self: Any, *, headers: Any = (), **kwargs: Any) -> Any:
        added = guarded(original, _headers_for, self, headers)
        if added:
            headers = [*(headers or ()), *added]
        return original(self, headers=headers, **kwargs)

    return append


def _headers_for(batch: Any, headers: Any) -> list[tuple[str, bytes]]:
    from aiokafka.producer import message_accumulator

    builder = message_accumulator.DefaultRecordBatchBuilder
    if not isinstance(batch._builder, builder):  # for brokers before 0.11
        return []
    if headers and carries_on(_text_of(headers)):
        return []
    return [(name, value.encode()) for name, value in headers_here().items()]


def _topic_of(consumer: Any) -> str:
    topics = {partition.topic for partition in consumer.assignment()}
    return topics.pop() if len(topics) == 1 else ""


def _one(consumer: Any, record: Any) -> list[Message]:
    return [_message(consumer, record)]


def _many(consumer: Any, records: dict[Any, list[Any]]) -> list[Message]:
    return [_message(consumer, record) for of_one in records.values() for record in of_one]


def _message(consumer: Any, record: Any) -> Message:
    attributes: dict[str, AttributeValue] = {
        _PARTITION: str(record.partition),
        _OFFSET: record.offset,
    }
    if consumer._group_id is not None:
        attributes["messaging.consumer.group.name"] = consumer._group_id
    if record.value is None:
        attributes["messaging.kafka.message.tombstone"] = True
    return Message(record.topic, _text_of(record.headers), attributes)


def _text_of(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    return {name: value.decode("latin-1") for name, value in headers if value is not None}

"""aio-pika: publishing is a span, which lasts until the broker has confirmed the message, and whose
context travels in its headers; each message that a callback is given is a request of its own,
linked to who has published it. So is what a queue is asked for (`fetches`)."""

from __future__ import annotations

import copy
import functools
from functools import partial
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded, is_coroutine_function, step_out
from asynchooks.libraries.fetches import closing, fail, fetching, follow_tasks
from asynchooks.libraries.jobs import (
    Message,
    carries_on,
    handling,
    headers_here,
    running,
    sending,
    start_processing,
    start_sending,
)
from asynchooks.tracing import use_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Request, Span
    from asynchooks.tracing.span import AttributeValue

NAME = "aio-pika"
MODULE = "aio_pika"
SUPPORTED = ("9.0", "11")

_ROUTING_KEY = "messaging.rabbitmq.destination.routing_key"
_MESSAGE_ID = "messaging.message.id"
_CONVERSATION_ID = "messaging.message.conversation_id"


def install(patches: Patches, module: ModuleType) -> None:
    from aio_pika import message, queue, robust_queue  # the application has imported them

    follow_tasks(patches)
    patches.wrap(module.Exchange, "publish", _make_publish)
    patches.wrap(queue.Queue, "consume", _make_consume)
    patches.wrap(queue.Queue, "get", fetching("rabbitmq", _got, where=_queue_name))
    for iterator in (queue.QueueIterator, robust_queue.RobustQueueIterator):
        if "__anext__" in vars(iterator):  # the second's own not in every release
            take = fetching("rabbitmq", _got_next, where=_iterated_name)
            patches.wrap(iterator, "__anext__", take)
    patches.wrap(queue.QueueIterator, "close", closing)
    patches.wrap(module.Connection, "close", closing)
    patches.wrap(message.ProcessContext, "__aexit__", _make_exit)


class _Carrying:
    """A message with our headers, in the place of the application's, which stays as it is: of what
    it has, publishing looks at this."""

    __slots__ = ("_message", "body", "properties")

    def __init__(self, message: Any) -> None:
        self._message = message
        self.body = message.body
        self.properties = copy.copy(message.properties)
        headers = self.properties.headers or {}
        if not (headers and carries_on(headers)):
            self.properties.headers = {**headers_here(), **headers}

    def __repr__(self) -> str:
        return repr(self._message)


def _make_publish(original: Any) -> Any:
    @functools.wraps(original)
    async def publish(self: Any, message: Any, routing_key: str, *args: Any, **kwargs: Any) -> Any:
        span = guarded(original, _begin_publishing, self, message, routing_key)
        with sending(span):
            sent = guarded(original, _Carrying, message) if span is not None else None
            result = await original(self, sent or message, routing_key, *args, **kwargs)
            if span is not None and sent is not None and sent.properties.message_id:
                span.set_attribute(_MESSAGE_ID, sent.properties.message_id)  # maybe made meanwhile
            return result

    return publish


def _begin_publishing(exchange: Any, message: Any, routing_key: str) -> Span | None:
    attributes: dict[str, AttributeValue] = {}
    if routing_key:
        attributes[_ROUTING_KEY] = routing_key
    if message.correlation_id:
        attributes[_CONVERSATION_ID] = message.correlation_id
    destination = _destination(exchange.name, routing_key)
    return start_sending("rabbitmq", destination, attributes=attributes)


def _make_consume(original: Any) -> Any:
    @functools.wraps(original)
    async def consume(self: Any, callback: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_for_others(callback):
            make = handling if is_coroutine_function(callback) else _handling_any
            callback = make(callback, partial(_begin, self), original)
        try:
            return await original(self, callback, *args, **kwargs)
        except BaseException as exc:
            step_out(exc)
            raise

    return consume


def _is_for_others(callback: Any) -> bool:
    """Whether it is a method of the library's own that hands on what it gets: an iterator's, or the
    one for the results of calls."""
    owner = getattr(callback, "__self__", None)
    return type(owner).__module__.startswith("aio_pika.") and callback.__name__ in (
        "on_message",
        "on_result_message",
    )


def _handling_any(callback: Any, begin: Callable[[Any], Request], taken_by: Any) -> Any:
    """The same of what is no coroutine function, and stays none: the library warns of that. It may
    give something to await."""

    async def wait_for(result: Awaitable[Any], job: Request) -> Any:
        with running(job):
            return await result

    @functools.wraps(callback)
    def handle(message: Any) -> Any:
        job = guarded(taken_by, begin, message)
        if job is None:
            return callback(message)
        with use_request(job):
            try:
                result = callback(message)
            except BaseException as exc:
                step_out(exc)
                job.span.record_exception(exc)
                job.span.end()
                raise
        if hasattr(result, "__await__"):
            return wait_for(result, job)
        job.span.end()
        return result

    return handle


def _begin(queue: Any, message: Any) -> Request:
    return start_processing("rabbitmq", [_message(queue, message)])


def _make_exit(original: Any) -> Any:
    @functools.wraps(original)
    async def __aexit__(self: Any, exc_type: Any, exc: Any, traceback: Any) -> Any:
        if exc is not None:
            guarded(original, fail, exc)
        return await original(self, exc_type, exc, traceback)

    return __aexit__


def _queue_name(queue: Any) -> str:
    return str(queue.name)


def _iterated_name(iterator: Any) -> str:
    return _queue_name(iterator._amqp_queue)


def _got(queue: Any, message: Any) -> list[Message]:
    return [] if message is None else [_message(queue, message)]


def _got_next(iterator: Any, message: Any) -> list[Message]:
    return [_message(iterator._amqp_queue, message)]


def _message(queue: Any, message: Any) -> Message:
    known = {
        _ROUTING_KEY: message.routing_key,
        _MESSAGE_ID: message.message_id,
        _CONVERSATION_ID: message.correlation_id,
        "messaging.rabbitmq.message.delivery_tag": message.delivery_tag,
    }
    attributes = {name: value for name, value in known.items() if value}
    destination = _destination(message.exchange, message.routing_key, queue.name)
    return Message(destination, message.headers, attributes)


def _destination(*parts: str | None) -> str:
    """As OpenTelemetry names it: exchange, routing key and queue, those that there are; a queue
    that is called like the routing key once."""
    return ":".join(dict.fromkeys(part for part in parts if part)) or "amq.default"

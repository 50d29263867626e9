"""aiokafka: the tasks that connect, send and fetch for all who use a client have the context of
none of them: what they do is not part of the request that has started it.

The one that forms a consumer's group is left alone: it calls the application's listener, in the
context of who has started the consumer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks.integrations.wrapping import in_context, in_the_outermost_context

if TYPE_CHECKING:
    import contextvars

    from asynchooks.integrations.wrapping import Wrap


def _unless_it_calls_the_listener(coroutine: Any) -> contextvars.Context | None:
    if coroutine.__name__ == "_coordination_routine":
        return None
    return _native.outermost_context()


PATCHES: dict[str, Wrap] = {
    "aiokafka.client:create_task": in_the_outermost_context,
    "aiokafka.conn:create_task": in_the_outermost_context,
    "aiokafka.producer.sender:create_task": in_the_outermost_context,
    "aiokafka.consumer.fetcher:create_task": in_the_outermost_context,
    "aiokafka.consumer.group_coordinator:create_task": in_context(_unless_it_calls_the_listener),
}

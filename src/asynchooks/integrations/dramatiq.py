"""dramatiq: stores travel in the options of a message. Each message starts clean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.integrations.carriers import KEY, pack, unpack
from asynchooks.integrations.wrapping import in_context, with_arguments

if TYPE_CHECKING:
    import contextvars

    from asynchooks.integrations.wrapping import Wrap


def _pack(*args: Any, **options: Any) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    packed = pack()
    return None if packed is None else (args, {KEY: packed, **options})


def _unpack(worker: object, message: Any) -> contextvars.Context:
    return unpack(message.options.get(KEY))


PATCHES: dict[str, Wrap] = {
    "dramatiq.actor:Actor.message_with_options": with_arguments(_pack),
    "dramatiq.worker:WorkerThread.process_message?": in_context(_unpack),
    "dramatiq.worker:_WorkerThread.process_message?": in_context(_unpack),  # its name in 1.16
}

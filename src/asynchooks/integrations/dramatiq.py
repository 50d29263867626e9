"""dramatiq: stores travel in the options of a message. Each message starts clean."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.integrations.carriers import KEY, pack, run_with

if TYPE_CHECKING:
    from collections.abc import Callable


def _packing(original: Any) -> Any:
    @functools.wraps(original)
    def message_with_options(*args: Any, **options: Any) -> Any:
        packed = pack()
        if packed is not None:
            options.setdefault(KEY, packed)
        return original(*args, **options)

    return message_with_options


def _unpacking(original: Any) -> Any:
    @functools.wraps(original)
    def process_message(self: Any, message: Any) -> Any:
        return run_with(message.options.get(KEY), original, self, message)

    return process_message


PATCHES: dict[str, Callable[[Any], Any]] = {
    "dramatiq.actor:Actor.message_with_options": _packing,
    "dramatiq.worker:WorkerThread.process_message": _unpacking,
}

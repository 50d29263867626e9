"""taskiq: stores travel in the labels of a task. Each task starts clean."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.integrations.carriers import KEY, enter, pack

if TYPE_CHECKING:
    from collections.abc import Callable


def _packing(original: Any) -> Any:
    @functools.wraps(original)
    def _prepare_message(*args: Any, **kwargs: Any) -> Any:
        message = original(*args, **kwargs)
        packed = pack()
        if packed is not None:
            message.labels.setdefault(KEY, packed)
        return message

    return _prepare_message


def _unpacking(original: Any) -> Any:
    @functools.wraps(original)
    async def run_task(self: Any, target: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        enter(message.labels.get(KEY))
        return await original(self, target, message, *args, **kwargs)

    return run_task


PATCHES: dict[str, Callable[[Any], Any]] = {
    "taskiq.kicker:AsyncKicker._prepare_message": _packing,
    "taskiq.receiver.receiver:Receiver.run_task": _unpacking,
}

"""taskiq: stores travel in the labels of a task. A worker runs each in a task of
asyncio's, in which they are put in force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks._patching import step_out
from asynchooks.integrations.carriers import KEY, enter, pack
from asynchooks.integrations.wrapping import calling, through

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap


def _pack(message: Any, *args: Any, **kwargs: Any) -> None:
    packed = pack()
    if packed is not None:
        message.labels.setdefault(KEY, packed)


async def _run_task(
    original: Any, receiver: Any, target: Any, message: Any, *args: Any, **kwargs: Any
) -> Any:
    enter(message.labels.get(KEY))
    try:
        return await original(receiver, target, message, *args, **kwargs)
    except BaseException as exc:
        step_out(exc)
        raise


PATCHES: dict[str, Wrap] = {
    "taskiq.kicker:AsyncKicker._prepare_message": calling(_pack),
    "taskiq.receiver.receiver:Receiver.run_task": through(_run_task),
}

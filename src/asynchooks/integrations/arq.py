"""arq: stores travel in the record of a job, beside its arguments. A worker runs each job in a task
of its own, in which they are put in force.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from asynchooks.integrations.carriers import KEY, enter, pack
from asynchooks.integrations.wrapping import with_arguments

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap


def _pack(*args: Any, serializer: Any = None) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    packed = pack()
    if packed is None:
        return None
    serialize = serializer or pickle.dumps  # what arq takes
    return args, {"serializer": lambda record: serialize({**record, KEY: packed})}


def _unpack(*args: Any, deserializer: Any = None) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    deserialize = deserializer or pickle.loads

    def deserialize_and_enter(raw: bytes) -> Any:
        record = deserialize(raw)
        enter(record.get(KEY))
        return record

    return args, {"deserializer": deserialize_and_enter}


PATCHES: dict[str, Wrap] = {
    "arq.connections:serialize_job": with_arguments(_pack),
    "arq.worker:deserialize_job_raw": with_arguments(_unpack),
}

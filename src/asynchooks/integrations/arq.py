"""arq: stores travel in the record of a job, beside its arguments. A worker runs each job in a task
of its own, in which they are put in force.
"""

from __future__ import annotations

import functools
import pickle
from typing import TYPE_CHECKING, Any

from asynchooks.integrations.carriers import KEY, enter, pack

if TYPE_CHECKING:
    from collections.abc import Callable


def _packing(original: Any) -> Any:
    @functools.wraps(original)
    def serialize_job(*args: Any, serializer: Any = None) -> Any:
        packed = pack()
        if packed is None:
            return original(*args, serializer=serializer)
        serialize = serializer or pickle.dumps  # what arq takes
        return original(*args, serializer=lambda record: serialize({**record, KEY: packed}))

    return serialize_job


def _unpacking(original: Any) -> Any:
    @functools.wraps(original)
    def deserialize_job_raw(raw: bytes, *, deserializer: Any = None) -> Any:
        def deserialize(raw: bytes) -> Any:
            record = (deserializer or pickle.loads)(raw)
            enter(record.get(KEY))
            return record

        return original(raw, deserializer=deserialize)

    return deserialize_job_raw


PATCHES: dict[str, Callable[[Any], Any]] = {
    "arq.connections:serialize_job": _packing,
    "arq.worker:deserialize_job_raw": _unpacking,
}

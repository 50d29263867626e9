"""RQ: stores travel in a field of the job's record in Redis. Each job starts clean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.integrations.beside import Beside
from asynchooks.integrations.carriers import KEY, pack, unpack
from asynchooks.integrations.wrapping import calling, in_context, with_arguments

if TYPE_CHECKING:
    import contextvars

    from asynchooks.integrations.wrapping import Wrap

# Of each job that a worker has fetched.
_packed: Beside[bytes] = Beside()


def _pack(record: dict[str, Any], job: object, *args: Any, **kwargs: Any) -> None:
    packed = pack()
    if packed is not None and _packed.get(job) is None:
        record[KEY] = packed


def _find(job: object, raw_data: Any) -> None:
    packed = raw_data.get(KEY.encode())
    if packed is not None:
        _packed.put(job, packed)


def _unpack(job: object) -> contextvars.Context:
    return unpack(_packed.get(job))


PATCHES: dict[str, Wrap] = {
    "rq.job:Job.to_dict": calling(_pack),
    "rq.job:Job.restore": with_arguments(_find),
    "rq.job:Job.perform": in_context(_unpack),
}

"""RQ: stores travel in a field of the job's record in Redis. Each job starts clean."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.integrations.beside import Beside
from asynchooks.integrations.carriers import KEY, pack, run_with

if TYPE_CHECKING:
    from collections.abc import Callable

# Of each job that a worker has fetched.
_packed: Beside[bytes] = Beside()


def _packing(original: Any) -> Any:
    @functools.wraps(original)
    def to_dict(self: Any, *args: Any, **kwargs: Any) -> Any:
        record = original(self, *args, **kwargs)
        packed = pack()
        if packed is not None and _packed.get(self) is None:
            record[KEY] = packed
        return record

    return to_dict


def _finding(original: Any) -> Any:
    @functools.wraps(original)
    def restore(self: Any, raw_data: Any) -> Any:
        packed = raw_data.get(KEY.encode())
        if packed is not None:
            _packed.put(self, packed)
        return original(self, raw_data)

    return restore


def _unpacking(original: Any) -> Any:
    @functools.wraps(original)
    def perform(self: Any) -> Any:
        return run_with(_packed.get(self), original, self)

    return perform


PATCHES: dict[str, Callable[[Any], Any]] = {
    "rq.job:Job.to_dict": _packing,
    "rq.job:Job.restore": _finding,
    "rq.job:Job.perform": _unpacking,
}

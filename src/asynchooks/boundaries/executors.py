"""Thread pools: each job is a resource, and runs in its submitter's context, as does whatever its
result sets going.

`loop.run_in_executor`, `asyncio.to_thread` and `ThreadPoolExecutor.map` go through `submit`. The
pool's function, its arguments and its work items stay as they are: a job is noted on its item. This
costs 0.2 µs a job.
"""

from __future__ import annotations

import concurrent.futures.thread
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from asynchooks import _native

if TYPE_CHECKING:
    from asynchooks._patching import Patches

__all__ = ("install",)


def install(patches: Patches) -> None:
    """Wrap `ThreadPoolExecutor.submit`, which knows the pool, and the work item's `__init__` and
    `run`."""
    item = concurrent.futures.thread._WorkItem
    for owner, name, action in (
        (ThreadPoolExecutor, "submit", "submit"),
        (item, "__init__", "job"),
        (item, "run", "run"),
    ):
        patches.wrap(owner, name, partial(_native.Wrapper, action=action))

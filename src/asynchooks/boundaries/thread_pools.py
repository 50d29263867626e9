"""Thread pools: each job is a resource, and runs in its submitter's context, as does whatever its
result sets going.

`loop.run_in_executor`, `asyncio.to_thread` and `ThreadPoolExecutor.map` go through `submit`. In the
pool's queue a job stands in the place of its function, which it gives back when it is its turn. The
jobs of an `InterpreterPoolExecutor` are no resources: nothing of ours can go where they go.
"""

from __future__ import annotations

import concurrent.futures.thread
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from asynchooks import _native

if TYPE_CHECKING:
    from asynchooks._patching import Patches

__all__ = ("DOES", "NAME", "install")

NAME = "thread_pools"
DOES = "each job of a ThreadPoolExecutor runs in its submitter's context"


def install(patches: Patches) -> None:
    """Wrap `ThreadPoolExecutor.submit`, and `run` of its work items."""
    item = concurrent.futures.thread._WorkItem
    for owner, name in ((ThreadPoolExecutor, "submit"), (item, "run")):
        patches.wrap(owner, name, partial(_native.Wrapper, action=name))

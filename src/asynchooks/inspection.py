"""What is alive: `resources()`, and `tree()`, the same by cause."""

from __future__ import annotations

import contextvars
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from asynchooks import _native, edges, links
from asynchooks.hooks import kinds_mask
from asynchooks.sites import Site, frames_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("ResourceInfo", "Stats", "Tree", "async_id", "resources", "stats", "tree")


# Ids are given in the order of birth. Not a lambda: CPython 3.12 crashes where it makes one and is
# out of memory.
_BY_AGE = itemgetter(1)


class ResourceInfo(NamedTuple):
    """One live resource, as it was when it was looked at.

    Attributes:
        resource: the object itself: a task, a future, a handle, a transport. Held, while this is.
            That of a job and of a thread is an object of ours.
        async_id: its id.
        kind: one of `asynchooks.KINDS`.
        created_by: the id of what executed when it was made.
        root: the id of the request, job or main at the top of that.
        woken_by: of a task, the id of what executed when its last step was scheduled; else 0.
        cancelled_by: the id of what executed when it was last cancelled; 0 where nobody did.
        site_number: what the core calls its creation site; see `site`.
        state: `"running"` (inside a step), `"ready"` (for its turn), `"waiting"` or `"done"`.
        steps: how many steps it has begun.
        age: seconds since it was made, or, where that was before `enable()`, first met.
        run_time: seconds inside its steps. Of a job, how long it has run; of a handle that has
            run, which is about to die, 0.
        ready_time: seconds between being scheduled and running. Of a job, how long it was queued.
        cpu_time: seconds of a processor inside its steps; 0 without `enable(cpu_time=True)`.
        is_adopted: it is older than `enable()`: what made it is not known.
    """

    resource: object
    async_id: int
    kind: str
    created_by: int
    root: int
    woken_by: int
    cancelled_by: int
    site_number: int
    state: str
    steps: int
    age: float
    run_time: float
    ready_time: float
    cpu_time: float
    is_adopted: bool

    @property
    def wait_time(self) -> float:
        """Seconds in which it neither ran nor was ready: the three make up the age."""
        return max(0.0, self.age - self.run_time - self.ready_time)

    @property
    def name(self) -> str:
        """What it runs: the qualified name of a task's coroutine, a handle's callback, a job's or
        thread's function, an async generator; of an `AsyncResource` its type; else its class's."""
        return _name_of(self.resource)

    @property
    def site(self) -> Site | None:
        """The line of the user's code that made it, where that is known."""
        frames = self.sites
        return frames[0] if frames else None

    @property
    def sites(self) -> tuple[Site, ...]:
        """That line, and those that called it, as many as `enable(site_frames=)` says."""
        return frames_of(self.site_number)

    @property
    def awaited_by(self) -> tuple[int, ...]:
        """The ids of the tasks that wait for it now."""
        return edges.awaited_by(self.resource)

    @property
    def linked_to(self) -> tuple[int, ...]:
        """The ids of its further causes, as `asynchooks.link()` was told."""
        return links.links_of(self.async_id)

    @property
    def owned_by(self) -> object | None:
        """The `TaskGroup`, executor, server or subprocess that it belongs to, or None."""
        owner = edges.owned_by(self.resource)
        if owner is None and self.kind == "Transport":
            owner = _maker_of(self.created_by)
        return owner

    def __str__(self) -> str:
        where = f" at {self.site}" if self.site_number else ""
        return (
            f"{self.kind} {self.async_id} {self.name}{where}, {self.state}, {self.age:.1f} s, "
            f"{self.steps} steps"
        )


class Stats(NamedTuple):
    """What the engine keeps.

    Attributes:
        live: how many resources are alive, by kind.
        memory: bytes of the table of tasks, futures and transports. Handles and the like carry
            what is known of them inside, 112 bytes each.
        untracked: how many objects had no room in it (`enable(memory_budget=)`).
    """

    live: dict[str, int]
    memory: int
    untracked: int


class Tree(NamedTuple):
    """A live resource and what it has made; `info` is None for what is not a live resource: a
    top level, a request, something that is gone."""

    async_id: int
    info: ResourceInfo | None
    children: list[Tree]

    def __str__(self) -> str:
        """One resource a line, indented below what made it."""
        lines: list[str] = []
        pending = [(self, 0)]
        while pending:
            node, depth = pending.pop()
            text = str(node.info) if node.info is not None else f"({node.async_id})"
            lines.append("  " * depth + text)
            pending += [(child, depth + 1) for child in reversed(node.children)]
        return "\n".join(lines)


def resources(
    *, kind: str | Iterable[str] | None = None, root: int | None = None
) -> list[ResourceInfo]:
    """All live resources, the oldest first.

    Args:
        kind: of this kind, or these kinds, only.
        root: below this root only: `asynchooks.current_request().root_async_id`.

    A consistent picture: nothing is born or dies while it is taken. Any thread. The application
    stands still for about 0.1 µs for each resource; another 1 µs for each is spent where other
    threads, and so the loops in them, may run between.

    Raises:
        ValueError: a kind is unknown.
    """
    kinds = _native.KINDS if kind is None else (kind,) if isinstance(kind, str) else kind
    found = [ResourceInfo._make(row) for row in _native.snapshot(kinds_mask(kinds), root or 0)]
    found.sort(key=_BY_AGE)
    return found


def stats() -> Stats:
    """How much is alive, and what that takes. Any thread; costs about a microsecond."""
    return Stats(_native.live_counts(), *_native.memory())


def async_id(resource: object) -> int:
    """The id of a task, future, handle, transport, `AsyncResource`; 0 of what is no resource, or
    older than `enable()` and not met since. Costs one C call."""
    return _native.async_id_of(resource)


def tree(root: int | None = None) -> list[Tree]:
    """The live resources by what made them, below `root` or altogether: the ones at the top, each
    with its children, the oldest first. Cost and threads as `resources()`."""
    nodes = {info.async_id: Tree(info.async_id, info, []) for info in resources(root=root)}
    tops: dict[int, Tree] = {}
    for node in nodes.values():
        assert node.info is not None
        parent = node.info.created_by
        if parent in nodes:
            nodes[parent].children.append(node)
        else:
            # What made it is no resource, or gone: it stands below the root that it belongs to.
            top = node.info.root
            if top not in tops:
                tops[top] = nodes[top] if top in nodes else Tree(top, None, [])
            if tops[top] is not node:
                tops[top].children.append(node)
    return [tops[top] for top in sorted(tops)]


def _maker_of(created_by: int) -> object | None:
    """The server that has accepted a transport, or the subprocess that it is a pipe of."""
    makers = resources(kind=("Server", "Subprocess"))
    return next((info.resource for info in makers if info.async_id == created_by), None)


def _name_of(resource: Any) -> str:
    if isinstance(resource, _native.Resource):
        what = resource.subject
        if what is None:
            return resource.type
    else:
        get_coroutine = getattr(resource, "get_coro", None)
        what = get_coroutine() if callable(get_coroutine) else getattr(resource, "_callback", None)
        if what is None:
            what = resource  # a generator, a callback that uvloop was given
    while isinstance(what, partial):
        is_to_thread = isinstance(getattr(what.func, "__self__", None), contextvars.Context)
        what = what.args[0] if is_to_thread and what.args else what.func
    return getattr(what, "__qualname__", None) or type(what).__qualname__

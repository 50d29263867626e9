"""What is alive: `resources()`, and `tree()`, the same by cause."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from asynchooks import _native
from asynchooks.hooks import kinds_mask

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("ResourceInfo", "Tree", "resources", "tree")


@dataclass(frozen=True, slots=True)
class ResourceInfo:
    """One live resource, as it was when it was looked at.

    Attributes:
        resource: the object itself: a task, a future, a handle. Held, while this is.
        async_id: its id.
        kind: `"Task"`, `"Future"`, `"Handle"`, `"TimerHandle"`, `"AsyncResource"`,
            `"ExecutorJob"` or `"Thread"`. The resource of the last two is an object of ours.
        created_by: the id of what executed when it was made.
        root: the id of the request, job or main at the top of that.
        woken_by: of a task, the id of what executed when its last step was scheduled; else 0.
        steps: how many steps it has begun.
        age: seconds since it was made, or, where that was before `enable()`, first met.
        run_time: seconds inside its steps, up to the last that has ended.
        is_adopted: it is older than `enable()`: what made it is not known.
    """

    resource: object
    async_id: int
    kind: str
    created_by: int
    root: int
    woken_by: int
    steps: int
    age: float
    run_time: float
    is_adopted: bool

    @property
    def name(self) -> str:
        """What it runs: of a task its coroutine's, of a handle its callback's qualified name; of
        an `AsyncResource` its type; else its class's name."""
        return _name_of(self.resource)

    def __str__(self) -> str:
        return f"{self.kind} {self.async_id} {self.name}, {self.age:.1f} s, {self.steps} steps"


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
    stands still for about 1 µs for each resource.

    Raises:
        ValueError: a kind is unknown.
    """
    kinds = _native.KINDS if kind is None else (kind,) if isinstance(kind, str) else kind
    rows = _native.snapshot(kinds_mask(kinds), root or 0)
    rows.sort(key=itemgetter(1))
    return [
        ResourceInfo(
            resource=row[0],
            async_id=row[1],
            kind=_native.KINDS[row[2]],
            created_by=row[3],
            root=row[4],
            woken_by=row[5],
            steps=row[6],
            age=row[7],
            run_time=row[8],
            is_adopted=row[9],
        )
        for row in rows
    ]


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


def _name_of(resource: Any) -> str:
    if isinstance(resource, _native.Resource):
        return resource.type
    get_coroutine = getattr(resource, "get_coro", None)
    what = get_coroutine() if callable(get_coroutine) else getattr(resource, "_callback", None)
    if what is None:
        return type(resource).__qualname__
    while hasattr(what, "func"):  # functools.partial
        what = what.func
    return getattr(what, "__qualname__", None) or type(what).__qualname__

"""`asynchooks.watch()`: more and more resources that do not go away."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from asynchooks import inspection
from asynchooks._detached import call_detached
from asynchooks._reporting import logger, report_once
from asynchooks.tracing import request_of_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynchooks.inspection import ResourceInfo
    from asynchooks.sites import Site
    from asynchooks.tracing import Request

__all__ = ("Group", "Leak", "Watch", "watch")

# How many groups a warning names, and how many of the oldest a `Leak` holds.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Group:
    """The old resources of one name that one line of code has made.

    Attributes:
        name: what they run, or are (`ResourceInfo.name`).
        site: the line that made them, where that is known.
        count: how many there are.
        oldest: the age of the oldest, in seconds.
        root: the root that the oldest belongs to.
    """

    name: str
    site: Site | None
    count: int
    oldest: float
    root: int

    @property
    def request(self) -> Request | None:
        """The request that the oldest belongs to, if that is still known."""
        return request_of_root(self.root)

    def __str__(self) -> str:
        where = f" at {self.site}" if self.site is not None else ""
        return f"{self.count} {self.name}{where}"


@dataclass(frozen=True, slots=True)
class Leak:
    """Too many old resources of one kind.

    Attributes:
        kind: `"Task"`, `"Future"`, ...
        count: how many are older than `older_than` seconds.
        limit: how many were expected at most.
        groups: them by name and by the line that made them, the group with the oldest first.
        oldest: the oldest of them, at most 5. They are held while this is.
    """

    kind: str
    count: int
    limit: int
    older_than: float
    groups: tuple[Group, ...]
    oldest: tuple[ResourceInfo, ...]

    @property
    def request(self) -> Request | None:
        """The request that the oldest belongs to, if that is still known."""
        return request_of_root(self.oldest[0].root)

    def __str__(self) -> str:
        names = ", ".join(map(str, self.groups[:SHOWN]))
        more = ", ..." if len(self.groups) > SHOWN else ""
        request = self.request
        of_request = f", of {request.method} {request.path} ({request.id})" if request else ""
        return (
            f"{self.count} of kind {self.kind} are older than {self.older_than:g} s, expected at "
            f"most {self.limit}: {names}{more}; the oldest {self.oldest[0].age:.0f} s{of_request}"
        )


class Watch:
    """A watcher that runs until `stop()`, or the end of its `with` block."""

    def __init__(
        self, interval: float, older_than: float, limit: int, callback: Callable[[Leak], object]
    ) -> None:
        self._interval = interval
        self._older_than = older_than
        self._limit = limit
        self._callback = callback
        self._told: dict[str, int] = {}  # by kind, how many there were when it was told last
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="asynchooks-watch", daemon=True)

    def check(self) -> list[Leak]:
        """Look now, in this thread. Returns what is over the limit, without telling anybody."""
        old: defaultdict[str, list[ResourceInfo]] = defaultdict(list)
        for info in inspection.resources():
            if info.age > self._older_than:
                old[info.kind].append(info)
        leaks = []
        for kind, infos in old.items():
            if len(infos) > self._limit:
                infos.sort(key=lambda info: -info.age)
                leaks.append(
                    Leak(
                        kind=kind,
                        count=len(infos),
                        limit=self._limit,
                        older_than=self._older_than,
                        groups=_groups(infos),
                        oldest=tuple(infos[:SHOWN]),
                    )
                )
        return leaks

    def start(self) -> Self:
        """Look every `interval` seconds from now on."""
        call_detached(self._thread.start)
        return self

    def stop(self) -> None:
        """Look no more. Waits for a look that goes on."""
        self._stop.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self.tell()
            except Exception:
                report_once("diagnosis.watch", "asynchooks.watch could not look", exc_info=True)

    def tell(self) -> None:
        """Look now, and tell of what is new: a kind that is over the limit, or has twice as many
        as when it was told last."""
        leaks = {leak.kind: leak for leak in self.check()}
        for kind in set(self._told) - set(leaks):
            del self._told[kind]
        for kind, leak in leaks.items():
            if leak.count >= 2 * self._told.get(kind, 0):
                self._told[kind] = leak.count
                self._callback(leak)


def watch(
    interval: float = 5.0,
    older_than: float = 10.0,
    limit: int = 100,
    callback: Callable[[Leak], object] | None = None,
) -> Watch:
    """Warn when more than `limit` resources of one kind are older than `older_than` seconds.

    Args:
        interval: seconds between looks. A look costs about 1 µs for each live resource.
        callback: called with a `Leak`, in the watcher's thread. By default a warning of the
            logger `asynchooks` says the same in one line.

    It is told once, and again when the number has doubled.

    Raises:
        ValueError: an argument is not positive.
    """
    for name, value in (("interval", interval), ("older_than", older_than), ("limit", limit)):
        if not value > 0:
            raise ValueError(f"`{name}` is {value!r}, expected a positive number")
    return Watch(interval, older_than, limit, callback or _warn).start()


def _warn(leak: Leak) -> None:
    logger.warning("%s", leak)


def _groups(infos: list[ResourceInfo]) -> tuple[Group, ...]:
    """`infos` are the oldest first, and so are the groups."""
    members: defaultdict[tuple[str, Site | None], list[ResourceInfo]] = defaultdict(list)
    for info in infos:
        members[info.name, info.site].append(info)
    return tuple(
        Group(name, site, len(of_group), of_group[0].age, of_group[0].root)
        for (name, site), of_group in members.items()
    )

"""Visits of a crowd: each notes what it makes, under a mark of its own."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import defaultdict
from typing import Any

from asynchooks.tracing import flush, stats

# The digits in which a visit's number is spelled for Redis: of a command, its name is recorded.
COMMANDS = ("GET", "EXISTS", "TTL", "TYPE", "STRLEN", "LLEN", "SCARD", "HLEN")

logger = logging.getLogger("crowd")
logged: list[tuple[str, str]] = []


class _Keep(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        logged.append((record.request_id, record.getMessage()))  # type: ignore[attr-defined]


logger.addHandler(_Keep())
logger.setLevel(logging.INFO)
logger.propagate = False


class Visit:
    """One request, and what it has made. Any thread."""

    def __init__(self, number: int, kind: str) -> None:
        self.kind = kind
        self.mark = f"mark-{number:04}"
        self.made: list[str] = []
        self.number = number
        self._numbers = itertools.count()

    def _note(self, form: str) -> str:
        made = form.format(f"{self.mark}-{next(self._numbers)}")
        self.made.append(made)
        return made

    def sql(self, form: str = "SELECT CURRENT_TIMESTAMP /* {} */") -> str:
        return self._note(form)

    def url(self, service: str) -> str:
        return self._note(service + "/echo/{}")

    def log(self) -> None:
        logger.info("%s", self._note("did {}"))

    def spell(self) -> tuple[str, ...]:
        """Commands that no other visit sends in this order, for a key each."""
        return tuple(COMMANDS[self.number >> shift & 7] for shift in (9, 6, 3, 0))


class Crowds:
    """All visits. Whose work outlives its answer has to `begin()` it before, and to `end()` it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.visits: list[Visit] = []
        # By what is done once for many, the marks of those who wait for it.
        self.shared: defaultdict[str, list[str]] = defaultdict(list)
        self.left_behind: list[str] = []  # by one message of a worker, for the next
        self._all_are_here = asyncio.Event()
        self._open = 0
        self._nothing_is_open = asyncio.Event()
        self._nothing_is_open.set()

    async def join(self, visit: Visit) -> None:
        self.visits.append(visit)
        all_are_here = self._all_are_here
        if len(self.visits) % self._size == 0:
            self._all_are_here = asyncio.Event()
            all_are_here.set()
        await all_are_here.wait()

    def begin(self) -> None:
        self._open += 1
        self._nothing_is_open.clear()

    def end(self) -> None:
        self._open -= 1
        if self._open == 0:
            self._nothing_is_open.set()

    async def report(self) -> dict[str, Any]:
        await self._nothing_is_open.wait()
        await asyncio.to_thread(flush, 60)
        return {
            "made": {visit.mark: visit.made for visit in self.visits},
            "kinds": {visit.mark: visit.kind for visit in self.visits},
            "shared": self.shared,
            "logged": logged,
            "left_behind": self.left_behind,
            "stats": stats()._asdict(),
        }

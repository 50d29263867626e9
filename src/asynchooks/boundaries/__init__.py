"""How context crosses the places where Python itself loses it: one small reversible patch each.

A boundary is a module with a `NAME`, by which it can be switched off, a line that says what it
`DOES`, and `install(patches)`. Those of other people's libraries are in `integrations/`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from asynchooks._patching import Patches
from asynchooks._reporting import report_once
from asynchooks.boundaries import (
    atexit,
    connections,
    exception_handlers,
    finalizers,
    future_callbacks,
    generators,
    logging,
    multiprocessing_pools,
    process_pools,
    processes,
    runners,
    sched,
    signals,
    thread_pools,
    threads,
)
from asynchooks.integrations import INTEGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ("BOUNDARIES", "Boundary", "install", "patches_of", "switches", "uninstall")

ENVIRONMENT = "ASYNCHOOKS_BOUNDARIES"


class Boundary(Protocol):
    """What each file of this package offers."""

    @property
    def NAME(self) -> str:
        """The one in `enable(boundaries=...)` and in ASYNCHOOKS_BOUNDARIES."""

    @property
    def DOES(self) -> str:
        """What it does, in a line."""

    def install(self, patches: Patches) -> None:
        """Replace what is in the way of the context. What is not imported yet is waited for."""


BOUNDARIES: tuple[Boundary, ...] = (
    threads,
    thread_pools,
    future_callbacks,
    multiprocessing_pools,
    process_pools,
    processes,
    sched,
    logging,
    signals,
    atexit,
    finalizers,
    connections,
    exception_handlers,
    runners,
    generators,
    *INTEGRATIONS,
)

_NAMES = frozenset(boundary.NAME for boundary in BOUNDARIES)

# Of the boundaries in force, by name.
_installed: dict[str, Patches] = {}


def switches(given: Mapping[str, bool] | None) -> dict[str, bool]:
    """Which boundaries are wanted, by name: all, but for what ASYNCHOOKS_BOUNDARIES says
    (`-threads,-logging`) and, before that, what is given.

    Raises:
        ValueError: there is no boundary of a name that is given.
    """
    wanted = dict.fromkeys((boundary.NAME for boundary in BOUNDARIES), True)
    for word in filter(None, (part.strip() for part in os.environ.get(ENVIRONMENT, "").split(","))):
        if word[0] in "+-" and word[1:] in _NAMES:
            wanted[word[1:]] = word[0] == "+"
        else:
            report_once(
                f"boundaries.{word}",
                "%s has %r, which is ignored; expected - (off) or + (on) before one of %s",
                ENVIRONMENT,
                word,
                _listed(_NAMES),
            )
    for name, is_on in (given or {}).items():
        if name not in _NAMES:
            raise ValueError(f"there is no boundary {name!r}, expected one of {_listed(_NAMES)}")
        wanted[name] = bool(is_on)
    return wanted


def install(wanted: Mapping[str, bool] | None = None) -> None:
    """Put the boundaries in force that are wanted (None: all), and the others back as Python has
    them."""
    for boundary in reversed(BOUNDARIES):
        if wanted is not None and not wanted[boundary.NAME]:
            _uninstall_one(boundary)
    for boundary in BOUNDARIES:
        if (wanted is None or wanted[boundary.NAME]) and boundary.NAME not in _installed:
            _install_one(boundary)


def uninstall() -> None:
    """Put every boundary back as Python has it."""
    for boundary in reversed(BOUNDARIES):
        _uninstall_one(boundary)


def patches_of(boundary: Boundary) -> Patches | None:
    """What the boundary has replaced; None where it is not in force."""
    return _installed.get(boundary.NAME)


def _install_one(boundary: Boundary) -> None:
    patches = _installed[boundary.NAME] = Patches()
    try:
        boundary.install(patches)
    except (AttributeError, ImportError) as exc:
        _uninstall_one(boundary)
        report_once(
            f"boundary.{boundary.NAME}",
            "asynchooks leaves the boundary %s alone: this Python is not one that it knows: %s",
            boundary.NAME,
            exc,
        )


def _uninstall_one(boundary: Boundary) -> None:
    patches = _installed.pop(boundary.NAME, None)
    if patches is not None:
        patches.undo()


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

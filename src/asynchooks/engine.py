"""Switching asynchooks on and off: the layers, in order, under one lock."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING

from asynchooks import _native, loops, sites
from asynchooks import boundaries as boundaries_layer
from asynchooks._reporting import report_once
from asynchooks.hooks import kinds_mask

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("disable", "enable", "is_enabled")

# A plain handle is made at every turn of a loop, by whoever wakes a task.
_SITE_KINDS = kinds_mask(kind for kind in _native.KINDS if kind != "Handle")

_lock = threading.RLock()
_is_tracing = False
_is_exit_registered = False
_is_over = False


def enable(
    *,
    tracing: bool = False,
    site_frames: int = 1,
    cpu_time: bool = False,
    memory_budget: int = 1 << 30,
    boundaries: Mapping[str, bool] | None = None,
) -> None:
    """Put the engine in force: ids, causes and hooks, and context that crosses threads and pools.

    Args:
        tracing: also record requests, queries, calls and log lines, and export them as OTLP
            (what `asynchooks run` does).
        site_frames: how many lines of the user's code are kept of what made a resource, 0 to 4.
            Plain handles have none.
        cpu_time: also count the processor's time of each step: two system calls a step.
        memory_budget: bytes for what is known of tasks, futures and transports, 122 for each. What
            does not fit lives untracked, and is counted (`asynchooks.stats()`).

    The options count from now on. May be called at any time, in any thread, also while loops run,
    and again. Where this interpreter's asyncio does not look as expected, asynchooks steps aside
    with one warning and changes nothing. Once the interpreter is exiting, this does nothing.

    Raises:
        ValueError: an option makes no sense, or there is no boundary of that name.
    """
    global _is_tracing
    if not 0 <= site_frames <= 4:
        raise ValueError(f"`site_frames` is {site_frames}, expected 0 to 4")
    if memory_budget < 0:
        raise ValueError(f"`memory_budget` is {memory_budget}, expected bytes")
    wanted = boundaries_layer.switches(boundaries)
    with _lock:
        if _is_over:
            return
        kinds = _SITE_KINDS if site_frames else 0
        _native.set_options(kinds, site_frames, cpu_time, memory_budget)
        if not _native.is_enabled() and not _enable_core():
            return
        boundaries_layer.install(wanted)
        if tracing and not _is_tracing:
            # Imported here: the engine alone must cost no more than itself.
            from asynchooks import libraries, opentelemetry
            from asynchooks import tracing as tracing_layer

            tracing_layer.install()
            libraries.install()
            opentelemetry.install()
            _is_tracing = True


def disable() -> None:
    """Put everything back as it was. Safe to call at any time, and again."""
    global _is_tracing
    with _lock:
        if _is_tracing:
            from asynchooks import libraries, opentelemetry
            from asynchooks import tracing as tracing_layer

            opentelemetry.uninstall()
            libraries.uninstall()
            tracing_layer.uninstall()
            _is_tracing = False
        if _native.is_enabled():
            boundaries_layer.uninstall()
            loops.uninstall()


def is_enabled() -> bool:
    """Whether the engine is in force."""
    return _native.is_enabled()


def _enable_core() -> bool:
    global _is_exit_registered
    try:
        sites.configure()
        loops.install()
    except (RuntimeError, ImportError, AttributeError) as exc:
        report_once(
            "engine.core",
            "asynchooks stepped aside: %s. This Python is not one that it knows; "
            "please report it with the output of `python -VV`",
            exc,
        )
        return False
    if not _is_exit_registered:
        atexit.register(_at_exit)
        _is_exit_registered = True
    return True


def _at_exit() -> None:
    """Nothing of ours may run once the interpreter is being taken down: a thread that goes on, or
    another exit function, must not switch us on again."""
    global _is_over
    with _lock:
        disable()
        _native.drop_hooks()
        _is_over = True


def _after_fork_in_child() -> None:
    """The child has the forking thread only: nobody else can give the lock back."""
    global _lock
    _lock = threading.RLock()
    _native.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)

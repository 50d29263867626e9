"""How we speak of our own trouble: once, in one line, through `logging`, and never by raising."""

from __future__ import annotations

import logging
import threading

logger = logging.getLogger("asynchooks")

_reported: set[str] = set()
# Entered again where a finalizer that runs inside has trouble of its own.
_lock = threading.RLock()


def report_once(key: str, message: str, *args: object, exc_info: bool = False) -> None:
    """Log `message % args` as a warning, the first time that `key` is seen in this process.

    The message says what was seen, what was expected, and what to do. Safe from any thread.
    """
    with _lock:
        if key in _reported:
            return
        _reported.add(key)
    logger.warning(message, *args, exc_info=exc_info)


def forget_reports() -> None:
    """Make every key new again. For tests."""
    with _lock:
        _reported.clear()

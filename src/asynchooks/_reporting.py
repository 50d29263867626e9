"""How we speak of our own trouble: once, in one line, through `logging`, and never by raising."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger("asynchooks")

# By key, a mark of whoever reported it. No lock: a fork could leave it held for ever.
_reported: dict[str, object] = {}


def report_once(key: str, message: str, *args: object, exc_info: bool | Exception = False) -> None:
    """Log `message % args` as a warning, the first time that `key` is seen in this process.

    The message says what was seen, what was expected, and what to do. Safe from any thread.
    """
    mark = object()
    if _reported.setdefault(key, mark) is mark:
        logger.warning(message, *args, exc_info=exc_info)


class Reminder:
    """A warning of what goes on: said at most once a minute. For one thread."""

    __slots__ = ("_said_at",)

    INTERVAL = 60.0  # seconds

    def __init__(self) -> None:
        self._said_at = float("-inf")

    def say(self, message: str, *args: object) -> bool:
        """Log `message % args` as a warning, unless it is too early for another. Returns whether
        it was said."""
        now = time.monotonic()
        if now - self._said_at < self.INTERVAL:
            return False
        self._said_at = now
        logger.warning(message, *args)
        return True


def forget_reports() -> None:
    """Make every key new again. For tests."""
    _reported.clear()

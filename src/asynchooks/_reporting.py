"""How we speak of our own trouble: once, in one line, through `logging`, and never by raising."""

from __future__ import annotations

import logging

logger = logging.getLogger("asynchooks")

# By key, a mark of whoever reported it. No lock: a fork could leave it held for ever.
_reported: dict[str, object] = {}


def report_once(key: str, message: str, *args: object, exc_info: bool = False) -> None:
    """Log `message % args` as a warning, the first time that `key` is seen in this process.

    The message says what was seen, what was expected, and what to do. Safe from any thread.
    """
    mark = object()
    if _reported.setdefault(key, mark) is mark:
        logger.warning(message, *args, exc_info=exc_info)


def forget_reports() -> None:
    """Make every key new again. For tests."""
    _reported.clear()

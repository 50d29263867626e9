"""How commands speak: to standard error, so that a command's own output stays what it is."""

from __future__ import annotations

import sys

__all__ = ("CommandError", "say")


class CommandError(Exception):
    """What a command cannot do, in one line, and the exit status that says so."""

    def __init__(self, message: str, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def say(message: str) -> None:
    """Print one line of ours on standard error."""
    sys.stderr.write(f"asynchooks: {message}\n")
    sys.stderr.flush()

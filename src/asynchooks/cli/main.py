"""The console script's entry."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from asynchooks.cli.arguments import parse
from asynchooks.cli.console import CommandError, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ("main",)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the process's exit status. Trouble is one line on standard error."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()
    except CommandError as exc:
        say(str(exc))
        return exc.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever reads what we print has enough of it (`| head`). Nor may the end try again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return status


def _dispatch(arguments: argparse.Namespace) -> int:
    # Each command imports what it alone needs.
    match arguments.name:
        case "run":
            from asynchooks.cli.run import run

            run(arguments)
        case "view":
            from asynchooks.cli.view import view

            view(arguments)
        case "demo":
            from asynchooks.cli.demo import demo

            demo(arguments)
        case "doctor":
            from asynchooks.cli.doctor import doctor

            return doctor(arguments)
    return 0

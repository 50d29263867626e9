"""The command line's grammar."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import asynchooks

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("DEFAULT_PORT", "parse")

# OTLP/HTTP's own, where `asynchooks view` listens and to where a traced program exports.
DEFAULT_PORT = 4318

OVERVIEW = """\
See which query belongs to which request, with no change to the application.

  asynchooks run -- uvicorn app:app            your service, traced; prints the page's URL
  asynchooks run -- python -m my_service       the same of a service that starts itself
  asynchooks view                              the page alone, with what was recorded before
  asynchooks demo                              an example service, traffic, and the page
  asynchooks doctor                            what is in force on this Python, and what is not
"""
RUN = """\
Run COMMAND with tracing on, and the viewer beside it for as long as it runs.

asynchooks becomes COMMAND: the same process, terminal, signals and exit status. A viewer that is
there already is used, and left as it was. With OTEL_EXPORTER_OTLP_ENDPOINT in the environment,
traces go there, and no viewer is started.
"""
RUN_EXAMPLES = """\
examples:
  asynchooks run -- uvicorn app:app --reload
  asynchooks run -- uvicorn app:app --workers 2
  asynchooks run -- gunicorn -k uvicorn_worker.UvicornWorker app:app
  asynchooks run -- hypercorn app:app
  asynchooks run --service orders --port 4319 -- python -m orders
  OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 asynchooks run -- python job.py

Several services on one page: start `asynchooks view` in a terminal of its own, then each of them
with `asynchooks run`.
"""
VIEW = """\
Take traces and show them, until Ctrl-C.

Takes OTLP/HTTP (protobuf and JSON) from asynchooks and from any OpenTelemetry program, keeps it in
one SQLite file, and serves the page on the same port.
"""
VIEW_EXAMPLES = """\
examples:
  asynchooks view
  asynchooks view --port 8090 --store traces.db
"""
DEMO = """\
Start the example shop and its second service, send them requests, and show what happened, until
Ctrl-C. Nothing of it is kept.
"""
DOCTOR = """\
Put the engine in force in a Python of its own, and say what came of it: the core's check of itself,
the loops and libraries that are there, and each boundary that context is carried over, with what it
has replaced and whether that is in place.

The exit status is 0 when all is well, and 1 when something is not.
"""
DOCTOR_EXAMPLES = """\
examples:
  asynchooks doctor
  asynchooks doctor --import my_service.main     what is still in place when that is imported
  ASYNCHOOKS_BOUNDARIES=-signals,-atexit asynchooks doctor --json
"""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line. A wrong one ends the process with status 2 and a line that says why."""
    parser = _Parser(prog="asynchooks", description=OVERVIEW)
    parser.add_argument("--version", action="version", version=asynchooks.__version__)
    commands = parser.add_subparsers(dest="name", metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run a command with tracing on",
        usage="asynchooks run [options] -- COMMAND [ARGUMENT ...]",
        description=RUN,
        epilog=RUN_EXAMPLES,
    )
    run.add_argument(
        "--port", type=_port, metavar="N", help=f"the viewer's port (default {DEFAULT_PORT})"
    )
    run.add_argument("--no-view", action="store_true", help="start no viewer")
    run.add_argument("--service", metavar="NAME", help="what to call it (default: by its command)")
    _add_store(run)
    view = commands.add_parser(
        "view", help="take traces and show them", description=VIEW, epilog=VIEW_EXAMPLES
    )
    view.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default 127.0.0.1: whoever reaches it may read everything)",
    )
    view.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, metavar="N", help=f"default {DEFAULT_PORT}"
    )
    _add_store(view)
    demo = commands.add_parser("demo", help="an example to look at", description=DEMO)
    demo.add_argument(
        "--once", action="store_true", help="one round of requests, print what happened, end"
    )
    demo.add_argument(
        "--port",
        type=_port,
        metavar="N",
        help=f"the viewer's port (default {DEFAULT_PORT}, or a free one)",
    )
    doctor = commands.add_parser(
        "doctor",
        help="say what is in force",
        description=DOCTOR,
        epilog=DOCTOR_EXAMPLES,
    )
    doctor.add_argument("--json", action="store_true", help="as one JSON object")
    doctor.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import it first, as the application does; may be given again",
    )
    ours, command = _split_command(argv, run)
    namespace, unknown = parser.parse_known_args(ours)
    spoken_to = commands.choices.get(namespace.name, parser)
    if unknown:
        spoken_to.error(f"unrecognized arguments: {' '.join(unknown)}")
    if namespace.name is None:
        parser.error(f"no command, expected one of {', '.join(commands.choices)}")
    if namespace.name == "run":
        if not command:
            run.error("no command to run, expected `asynchooks run -- COMMAND`")
        namespace.command = command
    return namespace


def _split_command(
    argv: Sequence[str], run: argparse.ArgumentParser
) -> tuple[list[str], list[str]]:
    """`run` and its options, and the command behind them: what follows `--`, or begins with the
    first word that is no option. argparse would read the command's own options."""
    if not argv or argv[0] != "run":
        return list(argv), []
    takes_value = {
        option for action in run._actions for option in action.option_strings if action.nargs != 0
    }
    index = 1
    while index < len(argv) and argv[index].startswith("-"):
        if argv[index] == "--":
            return list(argv[:index]), list(argv[index + 1 :])
        index += 2 if argv[index] in takes_value else 1
    return list(argv[:index]), list(argv[index:])


class _Parser(argparse.ArgumentParser):
    """Speaks of a wrong command line in one line, and shows texts as they were written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"asynchooks: {message}; see `{self.prog} --help`\n")


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port, expected 0 to 65535")


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store",
        type=Path,
        metavar="FILE",
        help="the viewer's SQLite file (default: in your user's state directory)",
    )

"""`asynchooks run`: become a command that is traced."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from asynchooks.cli.arguments import DEFAULT_PORT
from asynchooks.cli.console import CommandError, say
from asynchooks.cli.interpreter import why_untraced
from asynchooks.cli.viewer_process import MissingExtraError, start_viewer, store_of_viewer

if TYPE_CHECKING:
    import argparse

__all__ = ("run",)

BASE_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
# Values of OTEL_TRACES_EXPORTER with which nothing would come to a viewer.
LOCAL_EXPORTERS = frozenset(("file", "console", "none"))


def run(arguments: argparse.Namespace) -> NoReturn:
    """Replace this process by the command.

    Being the command, rather than its parent, leaves nothing to pass on: signals (also SIGKILL and
    SIGSTOP), exit status, terminal, process group and inherited sockets are the command's own.

    Raises:
        CommandError: the command cannot be run, or its viewer not be started. Nothing ran then.
    """
    program = find_program(arguments.command[0])
    environment = {**os.environ, "ASYNCHOOKS": "trace"}
    if arguments.service:
        environment["OTEL_SERVICE_NAME"] = arguments.service
    untraced = why_untraced(program)
    if untraced:
        say(untraced)
    elsewhere = _elsewhere(arguments)
    if elsewhere:
        say(elsewhere)
    else:
        environment.pop(TRACES_ENDPOINT, None)
        environment[BASE_ENDPOINT] = _prepare_viewer(arguments)
    _become(program, arguments.command, environment)


def find_program(name: str) -> str:
    """Where the program is, as a shell would find it.

    Raises:
        CommandError: with a shell's exit status: 127 where there is none, 126 where it is none
            that can be executed.
    """
    if os.sep not in name:
        found = shutil.which(name)
        if found is None:
            raise CommandError(f"no command {name!r} was found on PATH", 127)
        return found
    if not Path(name).exists():
        raise CommandError(f"there is no file {name!r} to run", 127)
    if not Path(name).is_file() or not os.access(name, os.X_OK):
        raise CommandError(f"{name!r} cannot be executed; is it a script for `python`?", 126)
    return name


def _elsewhere(arguments: argparse.Namespace) -> str | None:
    """What becomes of the traces by the environment, where that is not for us to say."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "nothing is traced: OTEL_SDK_DISABLED is true"
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter in LOCAL_EXPORTERS:
        return f"traces go where OTEL_TRACES_EXPORTER says: {exporter}"
    given = os.environ.get(TRACES_ENDPOINT) or os.environ.get(BASE_ENDPOINT)
    if given and arguments.port is None:
        return f"traces go to {given}"
    return None


def _prepare_viewer(arguments: argparse.Namespace) -> str:
    """The viewer's URL, which is the endpoint too."""
    port = DEFAULT_PORT if arguments.port is None else arguments.port
    url = f"http://127.0.0.1:{port}"
    if arguments.no_view:
        say(f"traces go to {url}")
        return url
    store = store_of_viewer(url)
    if store:
        elsewhere = arguments.store and arguments.store.absolute() != store.absolute()
        note = f" (its viewer is there already, and stores them in {store})" if elsewhere else ""
        say(f"requests at {url}{note}")
        return url
    try:
        url = start_viewer(port, arguments.store, lives_with=os.getpid())
    except MissingExtraError as exc:
        say(f"{exc}; the command runs without it, and sends its traces to {url}")
    else:
        say(f"requests at {url}")
    return url


def _become(program: str, command: list[str], environment: dict[str, str]) -> NoReturn:
    # Python ignores these two, and what is ignored stays so in a new program.
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    sys.stdout.flush()
    try:
        os.execve(program, command, environment)  # noqa: S606 -- running a command is our job
    except OSError as exc:
        status = 127 if isinstance(exc, FileNotFoundError) else 126
        # A script whose interpreter is not there is "not found" too.
        raise CommandError(f"cannot run {program!r}: {exc.strerror}", status) from exc

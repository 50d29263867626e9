"""The viewer in a process of its own, which ends with the process that wanted it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from asynchooks.cli.console import CommandError

__all__ = ("MissingExtraError", "start_viewer", "store_of_viewer")

PROBE_TIMEOUT = 1.0
SERVICE = "asynchooks-viewer"


class MissingExtraError(CommandError):
    """What the viewer is made of is not installed."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f'the viewer needs {module}, which is not installed; pip install "asynchooks[view]"'
        )


def store_of_viewer(url: str) -> Path | None:
    """Where the viewer that answers there keeps what it receives; None where none of ours does.
    Blocks for at most about a second."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PROBE_TIMEOUT)
    try:
        connection.request("GET", "/api/health")
        answer = json.loads(connection.getresponse().read(64 * 1024))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    if not isinstance(answer, dict) or answer.get("service") != SERVICE:
        return None
    return Path(str(answer.get("store")))


def start_viewer(port: int, store: Path | None, *, lives_with: int) -> str:
    """Start a viewer on loopback that ends when the process `lives_with` does; its URL.

    Blocks until it takes requests. It is no child of this process, and not of its session: Ctrl-C
    in the terminal is not for it. `store` None is the user's own.

    Raises:
        MissingExtraError: it is not installed.
        CommandError: it does not start: the port is taken, the store cannot be written.
    """
    read_end, write_end = os.pipe()
    arguments = [str(lives_with), str(write_end), str(port)]
    if store is not None:
        arguments.append(str(store.absolute()))
    environment = {name: value for name, value in os.environ.items() if name != "ASYNCHOOKS"}
    with os.fdopen(read_end, "rb") as answer:
        try:
            subprocess.run(  # noqa: S603 -- our own module
                # -P: a file in the working directory must not stand in for a library.
                [sys.executable, "-P", "-m", "asynchooks.cli.viewer_child", *arguments],
                pass_fds=[write_end],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                check=False,
            )
        finally:
            os.close(write_end)
        kind, _, detail = answer.readline().decode().strip().partition(" ")
    match kind:
        case "url":
            return detail
        case "missing":
            raise MissingExtraError(detail)
        case "error":
            raise CommandError(detail)
    raise CommandError("the viewer ended before it was ready; try `asynchooks view` to see why")

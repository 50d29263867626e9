"""The example's services, each in a process under `asynchooks run`."""

from __future__ import annotations

import http.client
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from asynchooks.cli.console import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("Service", "find_shop", "free_port")

HOST = "127.0.0.1"
OTHER_PORTS = range(20_000, 32_000)
START_DEADLINE = 30.0
STOP_DEADLINE = 10.0


def find_shop() -> Path:
    """The folder of the example: beside this module in an installed package, else that of the
    checkout in which we stand or from which we were imported.

    Raises:
        CommandError: it is in neither.
    """
    here = Path(__file__).resolve()
    for folder in (here.parent, here.parents[3], Path.cwd()):
        shop = folder / "examples" / "shop"
        if (shop / "shop" / "main.py").is_file():
            return shop
    raise CommandError(
        "the example is not installed; it is the folder examples/shop of asynchooks' repository: "
        "run `make demo` there"
    )


def free_port(preferred: int) -> int:
    """`preferred` if nobody listens there, else one that is free, and stays so until it is used:
    below those that systems give to outgoing connections."""
    for port in (preferred, *random.sample(OTHER_PORTS, 100)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise CommandError(f"no port is free on {HOST}")


class Service:
    """One service under uvicorn, from entering to leaving the context. Its output goes to a file
    in `folder`, and is shown if it does not start."""

    def __init__(
        self,
        name: str,
        app: str,
        directory: Path,
        folder: Path,
        port: int,
        viewer: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.url = f"http://{HOST}:{port}"
        self._name = name
        self._port = port
        self._folder = folder
        self._log = folder / f"{name}.log"
        server = [sys.executable, "-m", "uvicorn", app, "--app-dir", str(directory)]
        server += ["--host", HOST, "--port", str(port), "--log-level", "warning"]
        # As long as httpx' 5 seconds, and it would close connections on which httpx sends.
        server += ["--timeout-keep-alive", "75"]
        run = [sys.executable, "-P", "-m", "asynchooks", "run", "--service", name]
        self._command = [*run, "--port", viewer.rpartition(":")[2], "--", *server]
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- our own command
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal is the demo's; it ends its services itself.
                start_new_session=True,
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_until_ready(self) -> None:
        """Block until it answers.

        Raises:
            CommandError: it ended, or did not answer in time; with the end of its output.
        """
        assert self._process is not None
        deadline = time.monotonic() + START_DEADLINE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                output = self._log.read_text(errors="replace").strip()[-2000:]
                raise CommandError(f"the service {self._name} does not start:\n{output}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=1)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

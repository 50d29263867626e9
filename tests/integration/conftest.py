"""Real servers, each in a process of its own, and the viewer to ask what they did."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from tests.conftest import SERVER_PYTHON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ASYNCHOOKS = (sys.executable, "-P", "-m", "asynchooks")
VIEWER = (SERVER_PYTHON, "-P", "-m", "asynchooks", "view")
SHOP = Path(__file__).parents[2] / "examples" / "shop"
DEADLINE = 60.0
# Of the surroundings, nothing that would change what is tested.
FOREIGN = ("ASYNCHOOKS", "OTEL_", "XDG_STATE_HOME", "PYTHONDEVMODE")


def wait_until(condition: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
    """Ask until `condition` holds; fail with `what` when it does not in time."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline:.0f} s, in vain, until {what}")
        time.sleep(0.02)


_given: set[int] = set()


def free_port() -> int:
    """A port that stays free until somebody listens there: below those that Linux gives to outgoing
    connections, and no port twice."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without what is foreign; the console scripts of this Python come first on PATH."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    clean["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
    return {**clean, **(extra or {})}


def answers(url: str) -> bool:
    """Whether something answers there over HTTP, whatever it says."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as answer:
        answer.close()
        return True
    except OSError:
        return False


class Process:
    """A command that runs; its output goes to a file."""

    def __init__(
        self, command: Sequence[str], folder: Path, extra: Mapping[str, str] | None = None
    ) -> None:
        self._log = folder / f"{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self.popen = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(extra),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """As the function, and fails at once when the process has ended."""

        def ended_or_holds() -> bool:
            if self.popen.poll() is not None:
                pytest.fail(f"ended before {what}:\n{self.output}")
            return condition()

        wait_until(ended_or_holds, f"{what}; it said:\n{self.output}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit status as Popen has it."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        return self.popen.wait(DEADLINE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.popen.pid, signal.SIGKILL)
                self.popen.wait()


class Viewer:
    """`asynchooks view`, and its API."""

    def __init__(self, process: Process) -> None:
        self.process = process

        def url() -> str:
            line, newline, _ = process.output.partition("requests at ")[2].partition("\n")
            return line.partition(" ")[0] if newline else ""

        process.wait_until(lambda: bool(url()), "the viewer says its URL")
        self.url = url()
        self.port = self.url.rpartition(":")[2]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=DEADLINE) as answer:
            return json.load(answer)

    def requests(self) -> list[dict[str, Any]]:
        """All requests that it has, newest first."""
        found: list[dict[str, Any]] = []
        before = ""
        while page := self.get(f"/api/requests?limit=500{before}")["requests"]:
            found += page
            before = f"&before={page[-1]['id']}"
        return found

    def spans(self, trace_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/api/requests/{trace_id}")["spans"]
        return found

    def dropped(self) -> int:
        return int(self.get("/api/health")["dropped"])


class Shop:
    """Both services of the example."""

    def __init__(self, shop: Process, rates: Process, url: str, database: Path) -> None:
        self.shop = shop
        self.rates = rates
        self.url = url
        self.database = database

    def stop(self) -> None:
        """End both, which makes them export all that they still have."""
        self.shop.stop()
        self.rates.stop()


class Starter:
    """Starts processes that end with the test."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self.folder = folder

    def process(self, *command: str, **extra: str) -> Process:
        return self._stack.enter_context(Process(command, self.folder, extra))

    def run(self, *command: str, viewer: Viewer, **extra: str) -> Process:
        """`asynchooks run` with the traces going to `viewer`."""
        return self.process(*ASYNCHOOKS, "run", "--port", viewer.port, "--", *command, **extra)

    def viewer(self, store: str = "requests.db") -> Viewer:
        return Viewer(self.process(*VIEWER, "--port", "0", "--store", store))

    def shop(self, *options: str, viewer: Viewer | None, **variables: str) -> Shop:
        """The shop under uvicorn with `options`, traced if there is a viewer."""
        prefix = (*ASYNCHOOKS, "run", "--port", viewer.port, "--") if viewer else ()
        ports = free_port(), free_port()
        # The access log goes to standard output; the application's own lines are enough.
        # uvicorn and httpx give up an idle connection after the same 5 seconds: on a busy machine,
        # one closes it while the other sends.
        common = (
            "--app-dir",
            str(SHOP),
            "--no-access-log",
            "--timeout-keep-alive",
            "600",
            "--port",
        )
        database = self.folder / f"shop-{ports[0]}.sqlite3"
        rates = self.process(
            *prefix, "uvicorn", "rates.main:app", *common, str(ports[1]), **variables
        )
        shop = self.process(
            *prefix,
            "uvicorn",
            "shop.main:app",
            *options,
            *common,
            str(ports[0]),
            **variables,
            SHOP_DATABASE=str(database),
            RATES_URL=f"http://127.0.0.1:{ports[1]}",
        )
        url = f"http://127.0.0.1:{ports[0]}"
        rates.wait_until(lambda: answers(f"http://127.0.0.1:{ports[1]}/health"), "rates answers")
        shop.wait_until(lambda: answers(f"{url}/health"), "the shop answers")
        return Shop(shop, rates, url, database)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    with ExitStack() as stack:
        yield Starter(stack, tmp_path)


@pytest.fixture
def viewer(start: Starter) -> Viewer:
    return start.viewer()


@pytest.fixture
def port() -> int:
    """A port that is free now."""
    return free_port()

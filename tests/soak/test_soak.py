"""The soak of `make soak`, in short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc"),
]

PROGRAM = Path(__file__).with_name("many_tasks.py")


@pytest.mark.parametrize("options", [(), ("--hooks",)], ids=["plain", "hooks"])
def test_many_tasks_leave_nothing(options: tuple[str, ...]) -> None:
    command = [sys.executable, str(PROGRAM), "200000", *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""

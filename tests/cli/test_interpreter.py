"""Which Python runs a command, and whether it has asynchooks."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from typing import TYPE_CHECKING

import pytest

from asynchooks.cli.interpreter import find_interpreter, why_untraced

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("#!/venv/bin/python3.12\nimport x\n", "/venv/bin/python3.12"),
        ("#! /usr/bin/python -I\n", "/usr/bin/python"),
        ("#!/venv/bin/pypy3\n", "/venv/bin/pypy3"),
        ("#!/bin/bash\necho\n", None),
        ("#!/bin/sh\n'''exec' \"/a b/python3\" \"$0\" \"$@\"\n' '''\n", "/a b/python3"),
        ("#!/bin/sh\n'''exec' \"/a b\n", None),
        ("#!/bin/sh\n", None),
        ("#!/usr/bin/env no-such-python\n", None),
        ("#!\n", None),
        ("no script", None),
        ("", None),
    ],
)
def test_a_script_s_first_lines(tmp_path: Path, head: str, expected: str | None) -> None:
    script = tmp_path / "script"
    script.write_text(head)
    assert find_interpreter(str(script)) == expected


def test_env_is_looked_up(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/usr/bin/env -S A=1 python3 -X dev\n")
    assert find_interpreter(str(script)) == shutil.which("python3")


def test_a_python_is_its_own(tmp_path: Path) -> None:
    assert find_interpreter("/any/python3.13t") == "/any/python3.13t"
    assert find_interpreter(str(tmp_path / "missing")) is None


def test_this_python_has_it() -> None:
    assert why_untraced(sys.executable) is None


@pytest.mark.slow
def test_a_python_without_it_is_spoken_of(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare")
    python = str(tmp_path / "bare" / "bin" / "python")
    problem = why_untraced(python)
    assert problem is not None
    assert problem.count("\n") == 0
    assert f"not installed for {python}" in problem
    assert f"{python} -m pip install asynchooks" in problem


@pytest.mark.parametrize("program", ["/bin/true", "/bin/sh", "/nowhere/python3"])
def test_what_is_not_certain_is_not_said(program: str) -> None:
    assert why_untraced(program) is None


def test_starting_it_costs_the_command_no_module_that_it_did_not_ask_for() -> None:
    """Without `asynchooks run` the .pth file does nothing."""
    script = "import sys; sys.exit(any('asynchooks' in name for name in sys.modules))"
    environment = {"PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=60)
    environment["ASYNCHOOKS"] = "0"
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=60)

"""Whether a command's Python has asynchooks."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

__all__ = ("find_interpreter", "why_untraced")

PYTHON = re.compile(r"(python|pypy)[0-9.]*t?")
# Exactly what is to happen in the command: site reads asynchooks.pth, which starts the engine.
PROBE = "import sys; sys.exit('asynchooks._autostart' not in sys.modules)"
PROBE_TIMEOUT = 10.0


def why_untraced(program: str) -> str | None:
    """Why tracing will not take effect in `program`, where that is certain. Runs its Python once,
    for the time that an interpreter takes to start."""
    interpreter = find_interpreter(program)
    if interpreter is None:
        return None
    try:
        probe = subprocess.run(  # noqa: S603 -- the interpreter that the user asks us to run
            [interpreter, "-c", PROBE],
            env={**os.environ, "ASYNCHOOKS": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if probe.returncode == 0:
        return None
    return (
        f"the command will not be traced: asynchooks is not installed for {interpreter}; "
        f"run `{interpreter} -m pip install asynchooks`"
    )


def find_interpreter(program: str) -> str | None:
    """The Python that runs `program`: itself, or what its first lines name. None for all else."""
    path = Path(program)
    if PYTHON.fullmatch(path.name):
        return program
    try:
        with path.open("rb") as file:
            head = file.read(1024).decode(errors="replace")
    except OSError:
        return None
    return _interpreter_of_script(head)


def _interpreter_of_script(head: str) -> str | None:
    if not head.startswith("#!"):
        return None
    first, *rest = head[2:].splitlines() or [""]
    words = first.split()
    if words == ["/bin/sh"] and rest and rest[0].startswith("'''exec'"):
        # What pip writes where the interpreter's path is too long for the kernel, or has spaces.
        try:
            words = shlex.split(rest[0].removeprefix("'''exec'"))
        except ValueError:
            return None
    if words and Path(words[0]).name == "env":
        names = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        words = [shutil.which(names[0]) or ""] if names else []
    if words and PYTHON.fullmatch(Path(words[0]).name):
        return words[0]
    return None

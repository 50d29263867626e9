"""Scripts in interpreters of their own: what may crash, hang or speak out of turn does it there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from pathlib import Path

# One line, so that the line numbers of a script are the same whatever stands in it.
FIRST_LINE = 'import os; exec(os.environ.get("PREAMBLE", ""))\n'
ENGINE = "import asynchooks; asynchooks.enable()"
HOOKS = f"""{ENGINE}
def _nothing(*args):
    pass
asynchooks.create_hook(
    init=_nothing, before=_nothing, after=_nothing, destroy=_nothing, settled=_nothing
).enable()
del _nothing, asynchooks
"""
PREAMBLES = {"plain": "", "engine": ENGINE, "hooks": HOOKS}
# As in tests/conftest.py.
GC_THRESHOLD = int(os.environ.get("ASYNCHOOKS_TEST_GC_THRESHOLD", "0"))
COLLECT = f"import gc; gc.set_threshold({GC_THRESHOLD}, 100, 1000); del gc\n"
# For a hang; nothing is measured by it. Long enough for the slowest allocator and sanitizer.
TIMEOUT = 120


@dataclass(frozen=True)
class Outcome:
    """What became of a script."""

    status: int
    output: str
    errors: str

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


class RunScript(Protocol):
    """Runs a script to its end, with its arguments and options of the interpreter, and `engine`
    off ("plain"), on ("engine"), or on with five hooks that do nothing ("hooks")."""

    def __call__(
        self, script: str, *args: str, engine: str = "plain", options: tuple[str, ...] = ()
    ) -> Outcome: ...


@pytest.fixture
def run_script(tmp_path: Path) -> RunScript:
    def run_script(
        script: str, *args: str, engine: str = "plain", options: tuple[str, ...] = ()
    ) -> Outcome:
        path = tmp_path / "script.py"
        path.write_text(FIRST_LINE + script)
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("ASYNCHOOKS", "PYTHONDEVMODE", "PYTHONASYNCIODEBUG")
        }
        result = subprocess.run(
            [sys.executable, "-X", "faulthandler", *options, str(path), *args],
            env={**environment, "PREAMBLE": (COLLECT if GC_THRESHOLD else "") + PREAMBLES[engine]},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return Outcome(result.returncode, result.stdout, result.stderr)

    return run_script


class PassScript(Protocol):
    """Runs a script that has to end well, without a word on standard error."""

    def __call__(
        self, script: str, *args: str, engine: str = "plain", options: tuple[str, ...] = ()
    ) -> list[str]: ...


@pytest.fixture
def pass_script(run_script: RunScript) -> PassScript:
    def pass_script(
        script: str, *args: str, engine: str = "plain", options: tuple[str, ...] = ()
    ) -> list[str]:
        outcome = run_script(script, *args, engine=engine, options=options)
        assert (outcome.status, outcome.errors) == (0, ""), outcome
        return outcome.lines

    return pass_script


class SameOutcome(Protocol):
    """Runs a script without us, with the engine, and with hooks: nobody can tell which."""

    def __call__(
        self, script: str, *args: str, status: int = 0, options: tuple[str, ...] = ()
    ) -> Outcome: ...


@pytest.fixture
def same_outcome(run_script: RunScript) -> SameOutcome:
    def same_outcome(
        script: str, *args: str, status: int = 0, options: tuple[str, ...] = ()
    ) -> Outcome:
        outcomes = {
            engine: run_script(script, *args, engine=engine, options=options)
            for engine in PREAMBLES
        }
        plain = _comparable(outcomes["plain"])
        assert plain.status == status, plain
        assert _comparable(outcomes["engine"]) == plain
        assert _comparable(outcomes["hooks"]) == plain
        return outcomes["plain"]

    return same_outcome


def _comparable(outcome: Outcome) -> Outcome:
    return Outcome(outcome.status, _plain(outcome.output), _plain(outcome.errors))


def _plain(text: str) -> str:
    """Without addresses. Under stress also without what tells in which order a cycle was collected,
    which is not the same in two runs that allocate differently: whether the coroutine of a task
    went before it, and the order of lines."""
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    if GC_THRESHOLD:
        text = re.sub(r"coro=<[^>]*>", "coro=<>", text)
        text = "".join(sorted(text.splitlines(keepends=True)))
    return text

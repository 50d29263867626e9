"""`asynchooks doctor`: what is in force, what is not, and who is in the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from asynchooks import boundaries
from asynchooks.integrations import INTEGRATIONS

if TYPE_CHECKING:
    from pathlib import Path

OF_LIBRARIES = [integration.NAME for integration in INTEGRATIONS]
NAMES = [boundary.NAME for boundary in boundaries.BOUNDARIES]


def run_doctor(
    *options: str, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ASYNCHOOKS")}
    return subprocess.run(
        [sys.executable, "-m", "asynchooks", "doctor", *options],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**clean, **environment},
    )


def found(*options: str, status: int = 0, cwd: Path | None = None, **environment: str) -> Any:
    done = run_doctor("--json", *options, cwd=cwd, **environment)
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)


def by_name(report: Any) -> dict[str, Any]:
    return {boundary["name"]: boundary for boundary in report["boundaries"]}


def test_all_is_well() -> None:
    report = found()
    assert report["is_well"]
    assert report["python"]["version"].split(".")[0] == "3"
    assert report["core"] == {"is_in_force": True}
    assert {"asyncio", "uvloop"} <= report["loops"].keys()
    assert "uvicorn" in [library["name"] for library in report["libraries"]]
    assert [boundary["name"] for boundary in report["boundaries"]] == NAMES
    for boundary in report["boundaries"]:
        assert boundary["is_on"]
        assert boundary["does"]
        # What the application's libraries are is not known here.
        is_of_python = boundary["name"] not in OF_LIBRARIES
        is_patching = is_of_python and boundary["name"] != "generators"  # sys.monitoring does it
        assert boundary["patches"] or not is_patching, boundary["name"]
        assert boundary["waits_for"] == [] or not is_of_python, boundary["name"]
        assert {patch["covered_by"] for patch in boundary["patches"]} <= {None}


def test_as_text() -> None:
    done = run_doctor()
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1] == "all is well"
    for boundary in boundaries.BOUNDARIES:
        assert f"  on   {boundary.NAME}: {boundary.DOES}" in lines
    assert "         threading.Thread.start" in lines


def test_a_reader_that_has_enough_is_no_trouble() -> None:
    """As in `asynchooks doctor | head`."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "asynchooks", "doctor"],
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_what_is_switched_off_is_well_too() -> None:
    report = found(ASYNCHOOKS_BOUNDARIES="-signals, -atexit")
    off = {name for name, boundary in by_name(report).items() if not boundary["is_on"]}
    assert off == {"signals", "atexit"}
    assert by_name(report)["signals"]["patches"] == []


def test_an_unknown_name_is_told() -> None:
    report = found(status=1, ASYNCHOOKS_BOUNDARIES="-signal")
    (trouble,) = report["troubles"]
    assert trouble.startswith("ASYNCHOOKS_BOUNDARIES has '-signal', which is ignored; expected - ")
    assert trouble.endswith(", ".join(sorted(NAMES)))


COVERS = """
import threading
start = threading.Thread.start
def covering(self):
    start(self)
threading.Thread.start = covering
"""


def test_what_is_covered_is_told(tmp_path: Path) -> None:
    (tmp_path / "covers.py").write_text(COVERS)
    report = found("--import", "covers", status=1, cwd=tmp_path)
    assert not report["is_well"]
    (patch,) = by_name(report)["threads"]["patches"]
    assert patch == {"name": "threading.Thread.start", "covered_by": "covers.covering"}
    text = run_doctor("--import", "covers", cwd=tmp_path).stdout.splitlines()
    assert "         threading.Thread.start  COVERED by covers.covering" in text
    assert text[-1] == "not all is well"


BREAKS = """
import asyncio.tasks, asynchooks.loops.stdlib as stdlib
def fail():
    raise RuntimeError("made so")
stdlib._prove = fail
"""


def test_a_core_that_steps_aside(tmp_path: Path) -> None:
    """Before the doctor looks: as by a Python that we do not know."""
    (tmp_path / "sitecustomize.py").write_text(BREAKS)
    report = found(status=1, PYTHONPATH=str(tmp_path))
    assert report["core"] == {"is_in_force": False}
    assert "made so" in report["troubles"][0]


@pytest.mark.parametrize("name", ["no_such_module", "sitecustomize.no"])
def test_what_cannot_be_imported(name: str) -> None:
    done = run_doctor("--import", name)
    assert done.returncode == 1
    assert done.stderr.startswith(f"asynchooks: cannot import {name!r}: ")

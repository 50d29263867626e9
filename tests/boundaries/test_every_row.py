"""docs/boundaries.md says of each row what the tests show, and nothing else: its table against the
tests' names and markers, and its programs against what they print."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

from asynchooks import boundaries

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "boundaries.md").read_text()

ROW = re.compile(r"^\| ([tgkpf]\d\d) \|.*\| ([^|]+) \|$", re.MULTILINE)
# A test may be of several rows: test_f12_f13_each_request_...
TEST = re.compile(r"test_((?:[tgkpf]\d\d_)+)")
PROGRAM = re.compile(r"(?ms)^```python\n# (\w+\.py)\n(.*?)^```\n\n```console\n(.*?)^```")

NOBODYS = "by itself"
IMPOSSIBLE = "impossible"


class Found(NamedTuple):
    """A test function: of which rows, and how they pass in it."""

    name: str
    ids: tuple[str, ...]
    ways: frozenset[str]


def ways_of_cell(cell: str) -> frozenset[str]:
    """What the last cell of a row promises. In parentheses is what differs on an old Python."""
    cell = re.sub(r"\([^)]*\)", "", cell)
    ways = {f"with {tool}" for tool in re.findall(r"with `([^`]+)`", cell)}
    if NOBODYS in cell or cell == "works":
        ways.add(NOBODYS)
    if IMPOSSIBLE in cell:
        ways.add(IMPOSSIBLE)
    return frozenset(ways)


def ways_of_test(function: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
    ways = set()
    for decorator in function.decorator_list:
        match decorator:
            case ast.Call(func=ast.Attribute(attr="tool"), args=[ast.Constant(value=str(tool))]):
                ways.add(f"with {tool}")
            case ast.Call(func=ast.Attribute(attr="impossible"), args=[ast.Constant(value=str())]):
                ways.add(IMPOSSIBLE)
            case ast.Call(func=ast.Attribute(attr="tool" | "impossible")):
                raise AssertionError(f"{function.name}: the marker says no tool, and no reason")
    return frozenset(ways) or frozenset({NOBODYS})


def find_tests() -> list[Found]:
    tests = []
    for path in sorted(HERE.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            named = TEST.match(node.name)
            if named is not None:
                ids = tuple(named[1].rstrip("_").split("_"))
                tests.append(Found(node.name, ids, ways_of_test(node)))
    return tests


ROWS = ROW.findall(PAGE)
TESTS = find_tests()


def test_the_table_is_whole() -> None:
    ids = [row for row, _ in ROWS]
    assert len(ids) == 129
    assert len(set(ids)) == 129
    for row, cell in ROWS:
        assert ways_of_cell(cell), f"{row}: {cell!r} is neither by itself nor with a tool"


@pytest.mark.parametrize(("row", "cell"), ROWS, ids=[row for row, _ in ROWS])
def test_a_row_is_what_its_tests_show(row: str, cell: str) -> None:
    shown = {way for test in TESTS if row in test.ids for way in test.ways}
    assert shown, f"no test in tests/boundaries is named test_{row}_..."
    assert shown == ways_of_cell(cell), f"the page says of {row}: {cell}"


def test_each_test_of_a_row_has_one() -> None:
    known = {row for row, _ in ROWS}
    strange = defaultdict(list)
    for test in TESTS:
        for row in test.ids:
            if row not in known:
                strange[row].append(test.name)
    assert not strange, dict(strange)


def test_each_boundary_is_named() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)
    assert listed == [(boundary.NAME, boundary.DOES) for boundary in boundaries.BOUNDARIES]


PROGRAMS = PROGRAM.findall(PAGE)


def test_there_are_programs() -> None:
    assert len(PROGRAMS) == PAGE.count("```python\n# ") >= 9


@pytest.mark.parametrize(("name", "program", "session"), PROGRAMS, ids=[p[0] for p in PROGRAMS])
def test_a_program_prints_what_the_page_shows(
    tmp_path: Path, name: str, program: str, session: str
) -> None:
    (tmp_path / name).write_text(program)
    _, without, with_us = re.split(r"^\$ .*\n", session, flags=re.MULTILINE)
    for expected, environment in ((without, {}), (with_us, {"ASYNCHOOKS": "1"})):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("ASYNCHOOKS")}
        done = subprocess.run(
            [sys.executable, name],
            cwd=tmp_path,
            env={**clean, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout, done.stderr) == (expected, "")

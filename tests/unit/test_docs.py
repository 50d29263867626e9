"""What the docs point to is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from asynchooks.libraries.registry import LIBRARIES

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)\)")
# One picture is looked at on a phone's connection, too.
MAXIMUM_PICTURE = 300_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} points to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_in_them_is_python(page: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        ast.parse(f"async def block():\n{re.sub('^', ' ', block, flags=re.MULTILINE)}")


def test_pictures_are_not_large() -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size < MAXIMUM_PICTURE, picture.name


def test_the_first_screen_shows_two_commands_and_the_page() -> None:
    first = (ROOT / "README.md").read_text().splitlines()[:16]
    commands = [line for line in first if line.startswith("$ ")]
    assert commands == ['$ pip install "asynchooks[view]"', "$ asynchooks run -- uvicorn app:app"]
    assert any(line.startswith("![") for line in first)


def test_every_library_that_is_traced_is_listed() -> None:
    table = (ROOT / "docs" / "libraries.md").read_text()
    listed = {name.lower() for name in re.findall(r"^\| ([\w.-]+) \|", table, re.MULTILINE)}
    traced = {library.NAME.lower() for library in LIBRARIES}
    assert listed - {"library"} == traced
    assert f"**Libraries**: {len(traced)} of them" in (ROOT / "README.md").read_text()


def test_what_architecture_names_is_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    tree = text.partition("```\n")[2].partition("```")[0]
    for name in re.findall(r"^  ?(?:  )?(\w+\.pyi?|[a-z]+/)", tree, re.MULTILINE):
        assert (ROOT / "src" / "asynchooks" / name).exists() or (ROOT / name).exists(), name
    for name in re.findall(r"^  (\w+)  +\w", tree.partition("src/")[0], re.MULTILINE):
        assert (ROOT / "native" / f"{name}.c").exists(), name

"""What holds of every library: what is replaced is put back, and an unknown version left alone."""

from __future__ import annotations

import importlib
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from asynchooks import _reporting
from asynchooks._patching import Patches
from asynchooks.libraries import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from asynchooks.libraries.registry import Library

LIBRARIES = pytest.mark.parametrize(
    "library", registry.LIBRARIES, ids=lambda library: str(library.NAME)
)
ABSENT = object()
ROOT = Path(__file__).parents[2]
# What has its releases apart from Python's, once where a client and a server are of one.
RELEASED = {library.NAME: library for library in registry.LIBRARIES if library.SUPPORTED}


class RememberingPatches(Patches):
    """Remembers what was there before each replacement."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[tuple[Any, str, object]] = []

    def wrap(self, owner: type | ModuleType, name: str, make: Callable[[Any], Any]) -> None:
        self.before.append((owner, name, vars(owner).get(name, ABSENT)))
        super().wrap(owner, name, make)

    def replace(self, owner: type | ModuleType, name: str, value: Any) -> None:
        self.before.append((owner, name, vars(owner).get(name, ABSENT)))
        super().replace(owner, name, value)


def load(library: Library) -> ModuleType:
    try:
        return importlib.import_module(library.MODULE)
    except ModuleNotFoundError:
        pytest.skip("the library is not installed here")


@pytest.fixture
def patches(monkeypatch: pytest.MonkeyPatch) -> Iterator[RememberingPatches]:
    """Those of the registry."""
    patches = RememberingPatches()
    monkeypatch.setattr(registry, "_patches", patches)
    _reporting.forget_reports()
    yield patches
    patches.undo()


@LIBRARIES
def test_what_is_replaced_is_put_back(library: Library, patches: RememberingPatches) -> None:
    module = load(library)
    for _ in range(2):
        patches.before.clear()
        registry._install_one(library, module)
        # Until 0.125, FastAPI's routes are those of Starlette.
        assert patches.before or library.NAME == "fastapi"
        for owner, name, original in patches.before:
            assert vars(owner)[name] is not original, (owner, name)
        patches.undo()
        for owner, name, original in patches.before:
            assert vars(owner).get(name, ABSENT) is original, (owner, name)


@pytest.mark.parametrize("name", RELEASED)
@pytest.mark.parametrize("version", ["0.0.1", "99.0"])
def test_an_unknown_version_is_left_alone_with_one_warning(
    name: str,
    version: str,
    patches: RememberingPatches,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: version)
    for library in registry.LIBRARIES:
        if name == library.NAME:
            registry._install_one(library, load(library))
    assert patches.before == []
    (record,) = caplog.records
    assert f"leaves {name} alone: version {version} found" in record.getMessage()


def test_a_version_that_only_the_module_tells_is_known_too(
    patches: RememberingPatches,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def find(name: str) -> str:
        raise metadata.PackageNotFoundError(name)  # psycopg2-binary is psycopg2

    psycopg2 = importlib.import_module("psycopg2")
    library = next(library for library in registry.LIBRARIES if library.NAME == "psycopg2")
    monkeypatch.setattr(metadata, "version", find)
    monkeypatch.setattr(psycopg2, "__version__", "99.0 (dt dec pq3 ext lo64)")
    registry._install_one(library, psycopg2)
    assert patches.before == []
    assert len(caplog.records) == 1


def required(file: str) -> dict[str, str]:
    """The release of each distribution that a file of requirements names."""
    lines = (ROOT / "requirements" / file).read_text().splitlines()
    pins = [line.split(";")[0].strip().partition("==") for line in lines if "==" in line]
    return {name.lower().removesuffix("-binary"): version for name, _, version in pins}


def without_zeros(version: str) -> str:
    return re.sub(r"(\.0)+$", "", version)


@pytest.mark.parametrize("name", RELEASED)
def test_the_oldest_and_the_newest_release_are_tested(name: str) -> None:
    """The oldest by `make test-oldest`."""
    first, _ = RELEASED[name].SUPPORTED or ("", "")
    assert without_zeros(required("oldest.txt")[name]) == without_zeros(first)
    newest = {**required("test.txt"), **required("test-as-is.txt")}[name]
    assert registry.is_supported(RELEASED[name], newest)


def test_the_documentation_says_which_releases_are_supported() -> None:
    rows = re.findall(
        r"^\| ([\w.-]+) \| (Python's|[\d.]+ - [\d.x]+) \| ",
        (ROOT / "docs" / "libraries.md").read_text(),
        re.MULTILINE,
    )
    said = {(name.lower(), versions) for name, versions in rows}
    assert said == {
        (
            library.NAME,
            f"{library.SUPPORTED[0]} - {int(library.SUPPORTED[1]) - 1}.x"
            if library.SUPPORTED
            else "Python's",
        )
        for library in registry.LIBRARIES
    }

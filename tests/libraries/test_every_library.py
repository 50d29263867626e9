"""What holds of every library: what is replaced is put back, and an unknown version left alone."""

from __future__ import annotations

import importlib
from importlib import metadata
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


@LIBRARIES
@pytest.mark.parametrize("version", ["0.0.1", "99.0"])
def test_an_unknown_version_is_left_alone(
    library: Library,
    version: str,
    patches: RememberingPatches,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if library.SUPPORTED is None:
        pytest.skip("it comes with Python, whose version is ours to know")
    monkeypatch.setattr(metadata, "version", lambda name: version)
    registry._install_one(library, load(library))
    assert patches.before == []
    (record,) = caplog.records
    assert f"leaves {library.NAME} alone: version {version} found" in record.getMessage()


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

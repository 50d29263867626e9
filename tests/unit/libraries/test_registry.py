"""Which libraries there are, in which versions, and what becomes of the others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from asynchooks import _reporting
from asynchooks.libraries import registry

DOCUMENTED = Path(__file__).parents[3] / "docs" / "libraries.md"


def test_a_version_that_nobody_knows_is_left_alone_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    installed: list[object] = []

    def library(name: str, first: str, below: str) -> Any:
        return SimpleNamespace(
            NAME=name,
            MODULE="pytest",
            SUPPORTED=(first, below),
            install=lambda patches, module: installed.append(name),
        )

    libraries = (library("pytest", "0.1", "0.2"), library("pytest", "9999", "10000"))
    monkeypatch.setattr(registry, "LIBRARIES", (*libraries, library("pytest", "1", "10000")))
    _reporting.forget_reports()
    registry.install()
    registry.uninstall()
    registry.install()
    registry.uninstall()
    assert installed == ["pytest"] * 2
    (record,) = (record for record in caplog.records if record.name == "asynchooks")
    assert "asynchooks leaves pytest alone: version" in record.getMessage()
    assert record.getMessage().endswith("0.1 or newer and below 0.2 expected")


@pytest.mark.parametrize("library", registry.LIBRARIES, ids=lambda library: library.__name__)
def test_what_is_installed_here_is_supported_and_documented(library: registry.Library) -> None:
    assert registry._is_supported(library)
    assert f"| {library.NAME} |" in DOCUMENTED.read_text().replace(" / ", " | ")

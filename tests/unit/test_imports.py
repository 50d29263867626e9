"""when_imported: a module is prepared when the application imports it, and never by us."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from asynchooks import _reporting
from asynchooks._imports import when_imported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Write a module that can be imported during the test."""
    monkeypatch.syspath_prepend(tmp_path)
    before, finders = set(sys.modules), list(sys.meta_path)

    def write(name: str, text: str) -> None:
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        importlib.invalidate_caches()

    _reporting.forget_reports()
    yield write
    _reporting.forget_reports()
    for name in set(sys.modules) - before:
        del sys.modules[name]
    assert sys.meta_path == finders, "nobody waits, and yet our finder stays"


def test_it_is_called_when_the_module_has_been_executed(write: Callable[[str, str], None]) -> None:
    write("asynchooks_lib", "value = 1")
    seen: list[int] = []
    when_imported("asynchooks_lib", lambda module: seen.append(module.value))
    assert seen == []
    assert "asynchooks_lib" not in sys.modules
    module = importlib.import_module("asynchooks_lib")
    assert seen == [1]
    importlib.reload(module)
    assert seen == [1]


def test_it_is_called_at_once_for_a_module_that_is_there() -> None:
    seen: list[ModuleType] = []
    when_imported("sqlite3", seen.append)
    assert seen == [sys.modules["sqlite3"]]


def test_a_submodule_is_waited_for_without_importing_its_package(
    write: Callable[[str, str], None],
) -> None:
    write("asynchooks_pkg.__init__", "")
    write("asynchooks_pkg.part", "value = 2")
    seen: list[str] = []
    when_imported("asynchooks_pkg.part", lambda module: seen.append(module.__name__))
    importlib.import_module("asynchooks_pkg")
    assert seen == []
    importlib.import_module("asynchooks_pkg.part")
    assert seen == ["asynchooks_pkg.part"]


def test_a_module_in_the_middle_of_its_import_is_waited_for(
    write: Callable[[str, str], None],
) -> None:
    write(
        "asynchooks_slow",
        "import asynchooks._imports as i, sys\n"
        "sys.asynchooks_seen = []\n"
        "i.when_imported('asynchooks_other', lambda m: sys.asynchooks_seen.append(m.value))\n"
        "import asynchooks_other\n",
    )
    write("asynchooks_other", "value = 3")
    importlib.import_module("asynchooks_slow")
    assert sys.asynchooks_seen == [3]  # type: ignore[attr-defined] # the module's own
    del sys.asynchooks_seen  # type: ignore[attr-defined] # as above


def test_the_wish_can_be_taken_back(write: Callable[[str, str], None]) -> None:
    write("asynchooks_lib", "")
    seen: list[ModuleType] = []
    take_back = when_imported("asynchooks_lib", seen.append)
    take_back()
    take_back()
    importlib.import_module("asynchooks_lib")
    assert seen == []


def test_the_module_looks_as_it_does_without_us(write: Callable[[str, str], None]) -> None:
    write("asynchooks_lib", "spec = __spec__; loader = __loader__")
    when_imported("asynchooks_lib", lambda module: None)
    module = importlib.import_module("asynchooks_lib")
    assert type(module.loader).__name__ == "SourceFileLoader"
    assert "exec_module" not in vars(module.loader)
    assert module.spec.loader is module.loader
    assert importlib.util.find_spec("asynchooks_lib") == module.spec


def test_a_callback_that_raises_is_reported_and_the_import_goes_on(
    write: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    write("asynchooks_lib", "value = 1")

    def fail(module: ModuleType) -> None:
        raise RuntimeError("cannot prepare")

    seen: list[ModuleType] = []
    when_imported("asynchooks_lib", fail)
    when_imported("asynchooks_lib", seen.append)
    assert importlib.import_module("asynchooks_lib").value == 1
    assert len(seen) == 1
    (record,) = caplog.records
    assert "asynchooks_lib" in record.getMessage()
    assert "cannot prepare" in record.getMessage()


def test_a_module_that_fails_fails_as_without_us(write: Callable[[str, str], None]) -> None:
    write("asynchooks_broken", "raise LookupError('its own')")
    seen: list[ModuleType] = []
    take_back = when_imported("asynchooks_broken", seen.append)
    with pytest.raises(LookupError, match="its own") as caught:
        importlib.import_module("asynchooks_broken")
    assert seen == []
    frames = [entry.path for entry in caught.traceback]
    assert str(frames[-1]).endswith("asynchooks_broken.py")
    take_back()


def test_a_module_that_is_not_there_is_not_there() -> None:
    take_back = when_imported("asynchooks_nowhere", lambda module: None)
    with pytest.raises(ModuleNotFoundError, match="No module named 'asynchooks_nowhere'"):
        importlib.import_module("asynchooks_nowhere")
    assert importlib.util.find_spec("asynchooks_nowhere") is None
    take_back()


def test_starting_with_tracing_imports_none_of_the_libraries() -> None:
    script = (
        "import sys, asynchooks; asynchooks.enable(tracing=True)\n"
        "found = {'sqlite3', 'asyncpg', 'aiosqlite', 'httpx', 'uvicorn', 'starlette', 'fastapi',"
        " 'hypercorn', 'google.protobuf'} & set(sys.modules)\n"
        "sys.exit(str(found) if found else 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)

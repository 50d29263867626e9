"""Loops of others, and what runs in them: the rows f40, f44, f46 and f51."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.boundaries.frameworks.conftest import Starter

    import asynchooks

PYTEST = """
import asyncio
import contextvars
import pytest
import asynchooks

ENABLE
storage = asynchooks.AsyncLocalStorage(name="row")
variable = contextvars.ContextVar("variable")

import pytest_asyncio

@pytest_asyncio.fixture
async def a_value():
    variable.set("A")
    storage.enter_with("A")

@pytest_asyncio.fixture
async def a_scope():
    token = variable.set("B")
    with storage.use("B"):
        yield
    variable.reset(token)

@pytest.mark.asyncio
async def test_value(a_value):
    assert (variable.get(), storage.get_store()) == ("A", "A")

@pytest.mark.asyncio
async def test_scope(a_scope):
    await asyncio.sleep(0)
    assert (variable.get(), storage.get_store()) == ("B", "B")

@pytest.mark.asyncio
async def test_neither():
    assert (variable.get(None), storage.get_store()) == (None, None)
"""


@pytest.mark.slow
@pytest.mark.parametrize("enable", ["", "asynchooks.enable()"], ids=["off", "on"])
def test_f40_pytest_asyncio(start: Starter, enable: str) -> None:
    (start.folder / "test_it.py").write_text(PYTEST.replace("ENABLE", enable))
    options = ("-q", "-W", "error", "-o", "asyncio_default_fixture_loop_scope=function")
    process = start.process(sys.executable, "-m", "pytest", *options, "test_it.py")
    assert process.popen.wait(60) == 0, process.output
    assert "3 passed" in process.output


NESTED = """
import asyncio, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import asynchooks, nest_asyncio

if sys.argv[1] == "on":
    asynchooks.enable()
storage = asynchooks.AsyncLocalStorage(name="row")
nest_asyncio.apply()

async def inner():
    await asyncio.sleep(0)
    found = storage.get_store()
    with storage.use("inner"):
        await asyncio.sleep(0)
        return found, storage.get_store()

async def main():
    with storage.use("A"):
        seen = asyncio.get_running_loop().run_until_complete(inner())
        return *seen, storage.get_store()

print(*asyncio.run(main()), storage.get_store())
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["off", "on"])
def test_f44_nest_asyncio(run_script: Callable[..., str], engine: str) -> None:
    assert run_script(NESTED, engine) == "A inner A None\n"


def test_f46_tkinter(engine: None, storage: asynchooks.AsyncLocalStorage[str | None]) -> None:
    """The interpreter of Tcl, and its loop: what `after` needs, without a display."""
    tkinter = pytest.importorskip("tkinter", reason="this Python was built without Tcl")
    seen: list[Any] = []

    class Window(tkinter.Misc):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.tk = tkinter.Tcl().tk
            self._tclCommands: list[str] = []

    def work(name: str) -> None:
        seen.append((name, storage.get_store()))
        storage.enter_with("residue")

    window = Window()
    with storage.use("A"):
        command = window.after(0, work, "after")
        assert "work" in window.tk.call("after", "info", command)[0]
    with storage.use("B"):
        window.after_idle(work, "after_idle")
    window.after(0, work, "outside")
    with storage.use("C"):
        while len(seen) < 3:
            window.tk.dooneevent(0)

    assert sorted(seen) == [("after", "A"), ("after_idle", "B"), ("outside", None)]


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", "await asyncio.sleep(0); "], ids=["plain", "await"])
def test_f51_jupyter(tmp_path: Path, before: str) -> None:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(
        kernel_name="python3",
        cwd=str(tmp_path),
        extra_arguments=[f"--IPKernelApp.ipython_dir={tmp_path}"],
    )
    printed: list[str] = []

    def run(cell: str) -> None:
        def hear(message: Any) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"].strip())

        reply = client.execute_interactive(cell, timeout=60, output_hook=hear)
        assert reply["content"]["status"] == "ok", reply

    try:
        run("import asyncio, contextvars, asynchooks; asynchooks.enable()")
        run("storage = asynchooks.AsyncLocalStorage(); variable = contextvars.ContextVar('v')")
        run(f"{before}storage.enter_with('A'); token = variable.set('A')")
        run("print(storage.get_store(), variable.get())")
        run(f"{before}print(storage.get_store(), variable.get()); storage.enter_with('B')")
        run("asyncio.get_running_loop(); print(storage.get_store())")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()

    assert printed == ["A A", "A A", "B"]

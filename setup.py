"""Builds the C core, and ships the one-line `.pth` that lets ASYNCHOOKS=1 start the engine.

All metadata stands in pyproject.toml.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

PTH_NAME = "asynchooks.pth"
# One look-up of an environment variable in every Python process, no import unless it is set. A
# sub-interpreter goes without the engine, and without a word.
PTH_LINE = (
    "import os; os.environ.get('ASYNCHOOKS', '') not in ('', '0') and exec("
    "'try:\\n import asynchooks._autostart\\n"
    'except ImportError as exc:\\n if "interpreter" not in str(exc): raise\')\n'
)


class BuildPyWithPth(build_py):
    """Puts the `.pth` at the root of the wheel, which is where site looks for it, and the example
    that `asynchooks demo` runs beside the package."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            Path(self.build_lib, PTH_NAME).write_text(PTH_LINE)
            target = Path(self.build_lib, "asynchooks", "cli", "examples", "shop")
            shutil.copytree(
                "examples/shop",
                target,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns("__pycache__"),
            )

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), str(Path(self.build_lib, PTH_NAME))]


class EditableWheelWithPth(editable_wheel):
    """An editable wheel is not made from build_lib, so the `.pth` is added to it here."""

    def _select_strategy(self, *args: Any) -> Any:
        return _StrategyWithPth(super()._select_strategy(*args))


class _StrategyWithPth:
    def __init__(self, strategy: Any) -> None:
        self._strategy = strategy

    def __call__(self, wheel: Any, files: list[str], mapping: dict[str, str]) -> None:
        self._strategy(wheel, files, mapping)
        wheel.writestr(PTH_NAME, PTH_LINE)

    def __enter__(self) -> Any:
        self._strategy.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> Any:
        return self._strategy.__exit__(*exc_info)


flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fvisibility=hidden"]
if sys.platform == "linux":
    # Between two requests an application puts our code out of the processor's caches, so that what
    # counts is how many lines of it are fetched again: no stubs between us and Python, no padding.
    flags += ["-fno-plt", *(f"-fno-align-{what}" for what in ("functions", "jumps", "loops"))]
# In CI only: a newer compiler must not break an install.
if os.environ.get("ASYNCHOOKS_WERROR") == "1":
    flags.append("-Werror")

native = Path("native")
setup(
    ext_modules=[
        Extension(
            "asynchooks._native",
            sources=sorted(str(path) for path in native.rglob("*.c")),
            depends=sorted(str(path) for path in native.rglob("*.h")),
            include_dirs=["native", "native/context", "native/tracing"],
            extra_compile_args=flags,
        )
    ],
    cmdclass={"build_py": BuildPyWithPth, "editable_wheel": EditableWheelWithPth},
)

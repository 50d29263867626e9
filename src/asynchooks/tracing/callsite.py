"""The line of the user's own code that started something."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from asynchooks.tracing.program import application_module

if TYPE_CHECKING:
    from types import CodeType, FrameType

__all__ = ("call_site_attributes", "find_call_site")

# Code below these folders is not the user's: the standard library, installed packages, ourselves.
# But for the application itself, which is installed like them in many a container.
_FOREIGN = tuple(
    os.path.normcase(folder) + os.sep
    for folder in {
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
        sysconfig.get_path("purelib"),
        sysconfig.get_path("platlib"),
        str(Path(__file__).resolve().parent.parent),
    }
)
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
# How far up to look. Below that a program's own code is not what called.
_MAXIMUM_DEPTH = 64


@functools.lru_cache(maxsize=4096)
def _is_foreign(filename: str) -> bool:
    if filename.startswith("<"):  # <frozen importlib>, <string>
        return True
    path = os.path.normcase(filename)
    if not path.startswith(_FOREIGN) and not any(part in path for part in _INSTALLED):
        return False
    application = application_module().partition(".")[0]
    return not application or not any(
        f"{part}{application}{end}" in path for part in _INSTALLED for end in (os.sep, ".py")
    )


def find_call_site(depth: int = 1) -> tuple[CodeType, int] | None:
    """The code and line of the nearest frame that is the user's, else of the nearest at all.

    `depth` frames at the top are passed over. A coroutine that is awaited has its awaiters below
    it, so this finds the handler that awaits a library. Costs about a microsecond.
    """
    frame: FrameType | None = sys._getframe(depth + 1)
    nearest: FrameType | None = None
    for _ in range(_MAXIMUM_DEPTH):
        if frame is None:
            break
        filename = frame.f_code.co_filename
        if not _is_foreign(filename):
            return frame.f_code, frame.f_lineno
        if nearest is None and "asynchooks" not in filename:
            nearest = frame
        frame = frame.f_back
    return (nearest.f_code, nearest.f_lineno) if nearest is not None else None


def call_site_attributes(site: tuple[CodeType, int]) -> dict[str, str | int]:
    """OpenTelemetry's `code.*` attributes of a call site."""
    code, line = site
    return {
        "code.file.path": code.co_filename,
        "code.line.number": line,
        "code.function.name": code.co_qualname,
    }

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

    # A code and line, and those that led there, from the inside out.
    CallSite = tuple[CodeType, int, tuple[tuple[CodeType, int], ...]]

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
# How many callers of the user's line to keep: a helper that runs all queries tells nothing alone.
_MAXIMUM_CALLERS = 4


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


def find_call_site(depth: int = 1) -> CallSite | None:
    """The code and line of the nearest frame that is the user's, with the user's code that called
    it; else those of the nearest frame at all.

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
            return frame.f_code, frame.f_lineno, _callers(frame.f_back)
        if nearest is None and "asynchooks" not in filename:
            nearest = frame
        frame = frame.f_back
    return (nearest.f_code, nearest.f_lineno, ()) if nearest is not None else None


def _callers(frame: FrameType | None) -> tuple[tuple[CodeType, int], ...]:
    """The frames from here on, as long as they are the user's."""
    callers: list[tuple[CodeType, int]] = []
    while frame is not None and len(callers) < _MAXIMUM_CALLERS:
        if _is_foreign(frame.f_code.co_filename):
            break
        callers.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return tuple(callers)


def call_site_attributes(site: CallSite) -> dict[str, str | int]:
    """OpenTelemetry's `code.*` attributes of a call site. The stack trace is as Python writes one,
    without the lines' text, and only there where there is more than the line itself."""
    code, line, callers = site
    attributes: dict[str, str | int] = {
        "code.file.path": code.co_filename,
        "code.line.number": line,
        "code.function.name": code.co_qualname,
    }
    if callers:
        attributes["code.stacktrace"] = "\n".join(
            f'File "{code.co_filename}", line {line}, in {code.co_qualname}'
            for code, line in (*reversed(callers), (code, line))
        )
    return attributes

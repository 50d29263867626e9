"""Creation sites: the lines of the user's own code that make resources and start spans."""

from __future__ import annotations

import functools
import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from asynchooks import _native
from asynchooks._program import application_module

if TYPE_CHECKING:
    from types import CodeType

    # A code and line, and those that led there, from the inside out.
    CallSite = tuple[CodeType, int, tuple[tuple[CodeType, int], ...]]

__all__ = ("Site", "configure", "frames_of")


class Site(NamedTuple):
    """One line of code: its file, its number, and the function that it is in."""

    filename: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.filename}:{self.line} {self.function}"


def configure() -> None:
    """Tell the core whose code is whose. The user's is what is neither in the standard library nor
    installed beside it; but for the application itself, which is installed like a library in many
    a container. asyncio, threads and pools are never what made something: whoever called them is.

    Raises:
        RuntimeError: this interpreter's frames do not look as expected.
    """
    library = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    standard = Path(sysconfig.get_path("stdlib"))
    plumbing = (
        *_folders(standard / "asyncio", standard / "concurrent", Path(__file__).parent),
        str(standard / "threading.py"),
    )
    installed = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))
    application = application_module().partition(".")[0]
    own = tuple(
        f"{part}{application}{end}" for part in installed for end in (os.sep, ".py") if application
    )
    _native.configure_sites(plumbing, _folders(*map(Path, library)), installed, own)


@functools.lru_cache(maxsize=4096)
def frames_of(number: int) -> tuple[Site, ...]:
    """The frames of the site that the core knows by this number, the innermost first."""
    return tuple(
        Site(code.co_filename, line, code.co_qualname) for code, line in _native.site_frames(number)
    )


def _folders(*paths: Path) -> tuple[str, ...]:
    return tuple(f"{path}{os.sep}" for path in paths)

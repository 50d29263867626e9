"""`asynchooks doctor`: what is in force on this Python."""

from __future__ import annotations

import importlib
import json
import logging
import os
import platform
import sys
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import asynchooks
from asynchooks import boundaries
from asynchooks.cli.console import CommandError
from asynchooks.integrations import Integration
from asynchooks.libraries.registry import LIBRARIES, is_supported, version_of

if TYPE_CHECKING:
    import argparse

__all__ = ("doctor", "examine")

LOOPS = ("asyncio", "uvloop")


def doctor(arguments: argparse.Namespace) -> int:
    """Print what was found; the exit status.

    Raises:
        CommandError: a module that is to be imported cannot be.
    """
    found = examine(arguments.imports)
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        print(_as_text(found))
    return 0 if found["is_well"] else 1


def examine(imports: list[str]) -> dict[str, Any]:
    """Switch the engine on, import `imports`, then what boundaries wait for, look, and switch it
    off again."""
    troubles = _Troubles()
    logger = logging.getLogger("asynchooks")
    logger.addHandler(troubles)
    try:
        asynchooks.enable()
        is_in_force = asynchooks.is_enabled()
        wanted = boundaries.switches(None)
        sys.path.insert(0, os.getcwd())
        for name in imports:
            _import(name)
        _import_awaited()
        found: dict[str, Any] = {
            "version": asynchooks.__version__,
            "python": {
                "implementation": platform.python_implementation(),
                "version": platform.python_version(),
                "executable": sys.executable,
                "platform": f"{platform.system()} {platform.machine()}",
            },
            "core": {"is_in_force": is_in_force},
            "loops": {name: _version_of_loop(name) for name in LOOPS if find_spec(name)},
            "libraries": _examine_libraries(),
            "boundaries": [
                _examine_boundary(boundary, wanted[boundary.NAME])
                for boundary in boundaries.BOUNDARIES
            ],
        }
    finally:
        asynchooks.disable()
        logger.removeHandler(troubles)
    found["troubles"] = troubles.messages
    found["is_well"] = (
        is_in_force
        and not troubles.messages
        and all(library["is_supported"] for library in found["libraries"])
        and all(boundary["is_well"] for boundary in found["boundaries"])
    )
    return found


class _Troubles(logging.Handler):
    """Keeps what is reported meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as exc:
        raise CommandError(f"cannot import {name!r}: {exc!r}") from exc


def _import_awaited() -> None:
    """So that each boundary has made its patches, which it makes when the application imports the
    module. A library that the application does not use is not imported for that."""
    for boundary in boundaries.BOUNDARIES:
        if isinstance(boundary, Integration):
            continue
        patches = boundaries.patches_of(boundary)
        for name in patches.awaited_modules() if patches is not None else ():
            if find_spec(name) is not None:
                _import(name)


def _version_of_loop(name: str) -> str:
    return platform.python_version() if name == "asyncio" else metadata.version(name)


def _examine_libraries() -> list[dict[str, Any]]:
    libraries: list[dict[str, Any]] = []
    for library in LIBRARIES:
        version = version_of(library)
        if version is not None:
            known = is_supported(library, version)
            libraries.append({"name": library.NAME, "version": version, "is_supported": known})
    return libraries


def _examine_boundary(boundary: boundaries.Boundary, is_wanted: bool) -> dict[str, Any]:
    patches = boundaries.patches_of(boundary)
    made = patches.listed() if patches is not None else []
    return {
        "name": boundary.NAME,
        "does": boundary.DOES,
        "is_on": patches is not None,
        "is_well": (patches is not None) == is_wanted
        and all(patch.covered_by is None for patch in made),
        "patches": [
            {
                "name": patch.name,
                "covered_by": None if patch.covered_by is None else _name_of(patch.covered_by),
            }
            for patch in made
        ],
        "waits_for": patches.awaited_modules() if patches is not None else [],
    }


def _name_of(found: object) -> str:
    module, name = (getattr(found, key, None) for key in ("__module__", "__qualname__"))
    return f"{module}.{name}" if module and name else repr(found)


def _as_text(found: dict[str, Any]) -> str:
    python = found["python"]
    lines = [
        f"asynchooks {found['version']} on {python['implementation']} {python['version']}",
        f"  {python['platform']}",
        f"  {python['executable']}",
        "core",
        "  in force: it has seen the birth, steps and death of a task of its own"
        if found["core"]["is_in_force"]
        else "  NOT in force",
        "loops",
        *(f"  {name} {version}" for name, version in found["loops"].items()),
        "libraries",
        *(
            f"  {library['name']} {library['version']}"
            + ("" if library["is_supported"] else "  LEFT ALONE: no version that we know")
            for library in found["libraries"]
        ),
        "boundaries",
    ]
    for boundary in found["boundaries"]:
        state = "on " if boundary["is_on"] else "off" if boundary["is_well"] else "NOT"
        lines.append(f"  {state}  {boundary['name']}: {boundary['does']}")
        for patch in boundary["patches"]:
            covered = patch["covered_by"]
            over = f"  COVERED by {covered}" if covered else ""
            lines.append(f"         {patch['name']}{over}")
        lines.extend(f"         waits for {name}" for name in boundary["waits_for"])
    lines.extend(f"trouble: {message}" for message in found["troubles"])
    lines.append("all is well" if found["is_well"] else "not all is well")
    return "\n".join(lines)

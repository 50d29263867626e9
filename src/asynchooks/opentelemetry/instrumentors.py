"""OpenTelemetry's instrumentation packages, for the libraries that we do not know ourselves.

Each installed one has an entry point, and names the libraries that it is for in its metadata. It
is loaded, and switched on, when the application imports one of those: nothing is imported for a
library that is not used.
"""

from __future__ import annotations

import re
import sys
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any

from asynchooks._reporting import report_once
from asynchooks.libraries import LIBRARIES
from asynchooks.tracing import disabled_instrumentations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from asynchooks._patching import Patches

__all__ = ("install", "uninstall")

_GROUP = "opentelemetry_instrumentor"
# What we do in other ways: context that crosses threads, and tasks.
_OURS = frozenset(("asgi", "asyncio", "threading"))
# `jinja2<4.0,>=2.7; extra == "instruments"`: what it instruments, all or any of them.
_REQUIREMENT = re.compile(r"([\w.-]+).*extra\s*==\s*['\"]instruments(?:-any|_any)?['\"]")

_active: list[Any] = []


def install(patches: Patches) -> None:
    """Wait for the libraries of every instrumentation package that is not switched off by name in
    `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS`, and is not for a library of ours."""
    disabled = disabled_instrumentations()
    if "*" in disabled:
        return
    ours = _OURS | {_normal(library.NAME) for library in LIBRARIES}
    for entry_point in metadata.entry_points(group=_GROUP):
        libraries = set(_libraries(entry_point))
        if entry_point.name in disabled or entry_point.name in ours or libraries & ours:
            continue
        for module in sorted(_modules(entry_point.name, libraries)):
            patches.when_imported(module, partial(_switch_on, entry_point))


def uninstall() -> None:
    """Switch off those that we have switched on."""
    while _active:
        instrumentor = _active.pop()
        try:
            instrumentor.uninstrument()
        except Exception:
            _report(type(instrumentor).__name__, "switch off")


def _switch_on(entry_point: metadata.EntryPoint, module: ModuleType) -> None:
    try:
        instrumentor = entry_point.load()()
        if instrumentor.is_instrumented_by_opentelemetry:
            return  # by the application, or for another of its libraries
        instrumentor.instrument()
        if instrumentor.is_instrumented_by_opentelemetry:
            _active.append(instrumentor)
    except Exception:
        _report(entry_point.name, "switch on")


def _report(name: str, what: str) -> None:
    report_once(
        f"opentelemetry.instrumentor.{name}",
        "asynchooks could not %s the OpenTelemetry instrumentation %r; it stays off if "
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names it",
        what,
        name,
        exc_info=True,
    )


def _libraries(entry_point: metadata.EntryPoint) -> Iterator[str]:
    """The distributions that a package instruments."""
    distribution = entry_point.dist
    for requirement in (distribution.requires if distribution is not None else None) or ():
        match = _REQUIREMENT.match(requirement)
        if match is not None:
            yield _normal(match[1])


def _modules(name: str, libraries: set[str]) -> Iterator[str]:
    """The modules to wait for: the top ones of the libraries that are installed, or a module of
    the standard library by the name of the instrumentation."""
    if not libraries and name in sys.stdlib_module_names:
        yield name
    for library in libraries:
        try:
            distribution = metadata.distribution(library)
        except metadata.PackageNotFoundError:
            continue
        yield from _top_modules(distribution)


def _top_modules(distribution: metadata.Distribution) -> set[str]:
    named = (distribution.read_text("top_level.txt") or "").split()
    if named:
        return {name for name in named if not name.startswith("_")}
    paths = (path.parts for path in distribution.files or () if path.suffix == ".py")
    return {
        parts[0].removesuffix(".py")
        for parts in paths
        if parts[0].removesuffix(".py").isidentifier() and not parts[0].startswith("_")
    }


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

"""Which libraries there are, and putting them in force when they are imported."""

from __future__ import annotations

import re
import sys
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Protocol

from asynchooks._imports import when_imported
from asynchooks._patching import Patches
from asynchooks._reporting import report_once
from asynchooks.libraries import (
    aio_pika,
    aiohttp_client,
    aiohttp_server,
    aiokafka,
    aiomysql,
    aiosqlite,
    arq,
    asyncmy,
    asyncpg,
    celery,
    daphne,
    django,
    dramatiq,
    fastapi,
    flask,
    granian,
    grpc_client,
    grpc_server,
    gunicorn,
    http_client,
    httpx,
    hypercorn,
    incoming,
    litestar,
    logging,
    loguru,
    nats,
    psycopg,
    psycopg2,
    psycopg_pool,
    pymongo,
    pymysql,
    redis,
    requests,
    sanic,
    sqlalchemy,
    sqlite3,
    starlette,
    structlog,
    taskiq,
    tornado,
    urllib3,
    uvicorn,
    valkey,
    waitress,
    werkzeug,
    wsgiref,
)
from asynchooks.tracing import disabled_instrumentations

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ("LIBRARIES", "Library", "install", "is_supported", "uninstall", "version_of")


class Library(Protocol):
    """What each file of this package offers."""

    @property
    def NAME(self) -> str:
        """The distribution's name, and the one in OTEL_PYTHON_DISABLED_INSTRUMENTATIONS."""

    @property
    def MODULE(self) -> str:
        """The module whose import is waited for."""

    @property
    def SUPPORTED(self) -> tuple[str, str] | None:
        """From which version, and below which; None where it comes with Python."""

    def install(self, patches: Patches, module: ModuleType) -> None:
        """Replace what is to be seen, in `module` or what it imports."""


LIBRARIES: tuple[Library, ...] = (
    uvicorn,
    hypercorn,
    daphne,
    granian,
    gunicorn,
    waitress,
    werkzeug,
    wsgiref,
    aiohttp_server,
    tornado,
    sanic,
    starlette,
    fastapi,
    django,
    flask,
    litestar,
    sqlite3,
    aiosqlite,
    asyncpg,
    psycopg,
    psycopg_pool,
    psycopg2,
    pymysql,
    aiomysql,
    asyncmy,
    sqlalchemy,
    redis,
    valkey,
    pymongo,
    httpx,
    aiohttp_client,
    requests,
    urllib3,
    http_client,
    grpc_client,
    grpc_server,
    celery,
    dramatiq,
    arq,
    taskiq,
    nats,
    aiokafka,
    aio_pika,
    logging,
    structlog,
    loguru,
)

_patches = Patches()
_stop_waiting: list[Callable[[], None]] = []


def install() -> None:
    """Put every library in force that is not switched off by name in
    `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` (a list with commas; "*" is all of them)."""
    if _stop_waiting:
        return
    disabled = disabled_instrumentations()
    if "*" in disabled:
        return
    incoming.install()
    _stop_waiting.extend(
        when_imported(library.MODULE, partial(_install_one, library))
        for library in LIBRARIES
        if library.NAME not in disabled
    )


def uninstall() -> None:
    """Put every library back as it was."""
    while _stop_waiting:
        _stop_waiting.pop()()
    _patches.undo()


def _install_one(library: Library, module: ModuleType) -> None:
    if _is_supported(library):
        library.install(_patches, module)


def _is_supported(library: Library) -> bool:
    version = version_of(library)
    if version is None or is_supported(library, version):
        return True
    first, below = library.SUPPORTED or ("", "")
    report_once(
        f"library.{library.NAME}",
        "asynchooks leaves %s alone: version %s found, %s or newer and below %s expected",
        library.NAME,
        version,
        first,
        below,
    )
    return False


def version_of(library: Library) -> str | None:
    """Its version; None where that cannot be found: it comes with Python, or is not there."""
    if library.SUPPORTED is None:
        return None
    try:
        return metadata.version(library.NAME)
    except metadata.PackageNotFoundError:  # vendored, or under another name (psycopg2-binary)
        version = getattr(sys.modules.get(library.MODULE), "__version__", None)
        return version if isinstance(version, str) and _numbers(version) else None


def is_supported(library: Library, version: str) -> bool:
    """Whether `version` is one that we know."""
    if library.SUPPORTED is None:
        return True
    first, below = library.SUPPORTED
    return _numbers(first) <= _numbers(version) < _numbers(below)


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()

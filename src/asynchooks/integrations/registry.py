"""Which integrations there are, and putting them in force when their library is imported.

The list is all that `enable()` loads. The file of an integration, which has its name and says in
`PATCHES` what is wrapped and how, is loaded with the library that it is for.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from asynchooks import _native

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asynchooks._patching import Patches

__all__ = ("INTEGRATIONS", "Integration")


class Integration(NamedTuple):
    """The boundary of one library, as those of Python itself are in `boundaries/`.

    Args:
        NAME: of its file in this package; the one that switches it off.
        DOES: what it does for the application, in a line.
        modules: of the library, whose import is waited for.
    """

    NAME: str
    DOES: str
    modules: tuple[str, ...]

    def patches(self) -> Mapping[str, Callable[[Any], Any]]:
        """What is wrapped, as `module:attribute`, and what wraps it; with `?` at the end what not
        every release has. Loads the file of this integration, and nothing of the library."""
        patches: Mapping[str, Callable[[Any], Any]] = self._file().PATCHES
        return patches

    def install(self, patches: Patches) -> None:
        """Wait for the modules."""
        for name in self.modules:
            patches.when_imported(name, partial(self._patch, patches, name))

    def _patch(self, patches: Patches, name: str, module: ModuleType) -> None:
        """All of a module, or nothing of it where something is not as expected. By the name that
        it was imported by: it may put another in its place, as gevent's do."""
        found = [
            (*_resolve(module, target.removesuffix("?")), wrap)
            for target, wrap in self.patches().items()
            if target.partition(":")[0] == name and not _is_missing(module, target)
        ]
        for owner, attribute, wrap in found:
            patches.wrap(owner, attribute, wrap)
        if hasattr(self._file(), "install"):  # what is not an attribute
            self._file().install(patches, module)

    def _file(self) -> Any:
        return import_module(f"{__package__}.{self.NAME}")


def _is_missing(module: ModuleType, target: str) -> bool:
    first, _, _ = target.partition(":")[2].removesuffix("?").partition(".")
    return target.endswith("?") and not hasattr(module, first)


def _resolve(module: ModuleType, target: str) -> tuple[Any, str]:
    path, _, name = target.partition(":")[2].rpartition(".")
    owner: Any = module
    for part in filter(None, path.split(".")):
        owner = getattr(owner, part)
    found = getattr(owner, name)  # raises here, before anything is touched
    if isinstance(owner, ModuleType) and type(found) is _native.Wrapper:
        setattr(owner, name, found.__wrapped__)  # imported from a module that we had patched
    return owner, name


INTEGRATIONS = (
    Integration(
        "uvicorn",
        "each request starts in the context that the application's start-up left",
        (
            "uvicorn.server",
            "uvicorn.lifespan.on",
            "uvicorn.protocols.http.h11_impl",
            "uvicorn.protocols.http.httptools_impl",
            "uvicorn.protocols.http.zttp_impl",
            "uvicorn.protocols.http.zttp_h2_impl",
        ),
    ),
    Integration(
        "hypercorn",
        "each request starts in the context that the application's start-up left",
        ("hypercorn.asyncio.lifespan", "hypercorn.asyncio.task_group"),
    ),
    Integration(
        "wsgi",
        "each request of a WSGI server's thread starts clean",
        (
            "wsgiref.handlers",
            "waitress.task",
            "gunicorn.workers.sync",
            "gunicorn.workers.base_async",
            "werkzeug.serving",
        ),
    ),
    Integration(
        "starlette",
        "what endpoints set is seen around them, a streamed generator has one context",
        ("starlette.concurrency", "starlette.responses", "starlette.middleware.base"),
    ),
    Integration(
        "fastapi",
        "sync dependencies that yield have one context, which the endpoint sees",
        ("fastapi.routing", "fastapi.dependencies.utils"),
    ),
    Integration(
        "aiohttp", "the timer of a client's pool belongs to no request", ("aiohttp.connector",)
    ),
    Integration(
        "celery",
        "portable stores travel with tasks, each task starts clean",
        ("celery.app.base", "celery.app.trace", "celery.worker.consumer.consumer"),
    ),
    Integration(
        "dramatiq",
        "portable stores travel with messages, each message starts clean",
        ("dramatiq.actor", "dramatiq.worker"),
    ),
    Integration("arq", "portable stores travel with jobs", ("arq.connections", "arq.worker")),
    Integration("rq", "portable stores travel with jobs, each job starts clean", ("rq.job",)),
    Integration(
        "taskiq",
        "portable stores travel with tasks",
        ("taskiq.kicker", "taskiq.receiver.receiver"),
    ),
    Integration(
        "aiokafka",
        "the tasks of a client belong to no request",
        (
            "aiokafka.client",
            "aiokafka.conn",
            "aiokafka.producer.sender",
            "aiokafka.consumer.fetcher",
            "aiokafka.consumer.group_coordinator",
        ),
    ),
    Integration(
        "aio_pika",
        "a message is handled in the context in which its callback was given to consume()",
        ("aio_pika.queue", "aio_pika.robust_queue", "aiormq.base"),
    ),
    Integration(
        "apscheduler",
        "a job runs in the context in which it was added",
        ("apscheduler.job", "apscheduler.executors.base"),
    ),
    Integration(
        "joblib",
        "portable stores travel with what Parallel sends to processes",
        ("joblib.parallel",),
    ),
    Integration("anyio", "portable stores travel with to_process.run_sync", ("anyio.to_process",)),
    Integration("greenlet", "a greenlet runs in a copy of its maker's context", ("greenlet",)),
    Integration(
        "gevent",
        "a greenlet, and a job of the thread pool, runs in the context of whoever started it",
        ("gevent.greenlet", "gevent.hub", "gevent", "gevent.threadpool"),
    ),
    Integration(
        "eventlet",
        "a green thread runs in the context of whoever spawned it",
        ("eventlet.greenthread", "eventlet.tpool", "eventlet.hubs.hub"),
    ),
    Integration(
        "aiosqlite",
        "what a connection's thread calls back has its caller's context",
        ("aiosqlite",),
    ),
    Integration(
        "ipykernel",
        "what a cell sets after an await is there in the next cell",
        ("ipykernel.ipkernel", "IPython.core.interactiveshell"),
    ),
    Integration("tkinter", "after() calls in the context of its caller", ("tkinter",)),
)

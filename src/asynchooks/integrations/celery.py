"""Celery: stores travel in the headers of a task. Each task starts clean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks.integrations.carriers import KEY, pack, unpack
from asynchooks.integrations.wrapping import through, with_arguments

if TYPE_CHECKING:
    import contextvars

    from asynchooks.integrations.wrapping import Wrap


def _pack(*args: Any, **options: Any) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    packed = pack()
    if packed is None:
        return None
    return args, {**options, "headers": {**(options.get("headers") or {}), KEY: packed}}


def _build_tracer(original: Any, *args: Any, **kwargs: Any) -> Any:
    """A tracer is what calls a task in a worker."""
    return _native.Wrapper(original(*args, **kwargs), "context", helper=_unpack)


def _unpack(uuid: object, args: object, kwargs: object, request: Any = None) -> contextvars.Context:
    return unpack((request or {}).get(KEY))


PATCHES: dict[str, Wrap] = {
    "celery.app.base:Celery.send_task": with_arguments(_pack),
    "celery.app.trace:build_tracer": through(_build_tracer),
    "celery.worker.consumer.consumer:build_tracer": through(_build_tracer),
}

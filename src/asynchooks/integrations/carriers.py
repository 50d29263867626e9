"""Stores that travel with jobs: those of storages that were made with `portable=True`, as JSON.

JSON, and not the pickles that go to processes of our own: whoever can write to a queue must not
thereby run code in its workers. A store that JSON does not give back as it was stays where it is.
"""

from __future__ import annotations

import contextvars
import json
from typing import Any

from asynchooks._reporting import report_once
from asynchooks.context import portable

__all__ = ("KEY", "enter", "pack", "unpack")

# Of the header, option, label or field of a job that has the stores.
KEY = "asynchooks"


def pack() -> str | None:
    """The stores in force here that may travel; None where there is none. Those that cannot are
    reported once."""
    stores: dict[str, Any] = {}
    for name, store in portable.stores_in(contextvars.copy_context()).items():
        if _survives(store):
            stores[name] = store
        else:
            report_once(
                f"carriers.{name}",
                "the store of %r, a %s, does not travel with jobs: it is not what JSON gives back; "
                "expected strings, numbers, lists, and dicts of them",
                name,
                type(store).__name__,
            )
    return json.dumps(stores) if stores else None


def _survives(store: object) -> bool:
    try:
        return bool(json.loads(json.dumps(store)) == store)
    except Exception:  # whatever the store's class says to this
        return False


def enter(packed: object) -> None:
    """Put the stores that came with a job in force here, where this process has the storages."""
    if not isinstance(packed, str | bytes):
        return
    try:
        portable.enter(json.loads(packed))
    except Exception as exc:
        report_once("carriers.enter", "the stores of a job could not be read: %r", exc)


def unpack(packed: object) -> contextvars.Context:
    """The context for a job: that of here, with the stores that came with the job."""
    context = contextvars.copy_context()
    context.run(enter, packed)
    return context

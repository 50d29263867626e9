"""Stores on their way to another process, with what is to run there.

What travels is a *carrier*, bytes: the store of each portable storage that has one, pickled one by
one. The other side finds the storage by its name, once the module that makes it is imported.
Carriers go where multiprocessing's own pickles go, and are trusted like them.
"""

from __future__ import annotations

import contextvars
import pickle
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from asynchooks import _native
from asynchooks._reporting import report_once
from asynchooks.context import portable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("capture", "enclose", "enter_carrier", "open_carrier", "run")

P = ParamSpec("P")
R = TypeVar("R")


def capture() -> bytes | None:
    """The stores in force here that may travel, as a carrier; None where no storage is portable.
    A store that cannot be pickled is reported once, and stays."""
    if not portable.is_in_use():
        return None
    stores: dict[str, bytes] = {}
    for name, store in portable.stores_in(contextvars.copy_context()).items():
        try:
            stores[name] = pickle.dumps(store)
        except Exception as exc:
            report_once(
                f"portable.{name}",
                "the store of %r does not travel to other processes: pickling it failed with %r",
                name,
                exc,
            )
    return pickle.dumps(stores)


def enter_carrier(carrier: bytes) -> None:
    """Put the stores of `carrier` in force here, where this process has the storages."""
    for name, pickled in pickle.loads(carrier).items():  # noqa: S301 -- see above
        try:
            portable.enter({name: pickle.loads(pickled)})  # noqa: S301 -- see above
        except Exception as exc:
            report_once(
                f"portable.{name}",
                "the store of %r did not arrive from another process: %r",
                name,
                exc,
            )


def open_carrier(carrier: bytes) -> contextvars.Context:
    """A copy of the context here with the stores of `carrier`. A worker's own has what the program
    and the pool's initializer have set, and nothing of any job."""
    context = contextvars.copy_context()
    context.run(enter_carrier, carrier)
    return context


def run(carrier: bytes | None, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """`fn(*args, **kwargs)` in a copy of the context here with the stores of `carrier`; as it is,
    where there is no carrier."""
    if carrier is None:
        return fn(*args, **kwargs)
    return open_carrier(carrier).run(fn, *args, **kwargs)


class Envelope:
    """A function on its way to another process, together with a carrier. What arrives stands for
    the function, and has no frame of ours."""

    __slots__ = ("__weakref__", "_carrier", "_fn")

    def __init__(self, carrier: bytes, fn: Callable[..., Any]) -> None:
        self._carrier = carrier
        self._fn = fn

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpack, (self._carrier, self._fn)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return run(self._carrier, self._fn, *args, **kwargs)


def enclose(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` as it is to be sent: in an envelope with the stores in force here; as it is, where no
    storage is portable."""
    carrier = capture()
    return fn if carrier is None else Envelope(carrier, fn)


def _unpack(carrier: bytes, fn: Callable[..., Any]) -> Callable[..., Any]:
    # Only now, since unpickling `fn` has imported the module that may make the storages.
    return _native.Wrapper(fn, "context", helper=open_carrier(carrier))

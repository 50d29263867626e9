"""Stores that may leave the process: those of `AsyncLocalStorage(portable=True)`, by the name of
their storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from asynchooks._native import MISSING, Storage
from asynchooks.context.scopes import store_in

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Mapping

__all__ = ("enter", "is_in_use", "register", "stores_in")

# The newest of each name: a module that is loaded again makes its storages again.
_storages: WeakValueDictionary[str, Storage] = WeakValueDictionary()


def register(storage: Storage) -> None:
    """Have the stores of `storage` travel, to where a storage of the same name is registered."""
    _storages[storage.name] = storage


def is_in_use() -> bool:
    """Whether there is any portable storage."""
    return bool(_storages)


def stores_in(context: contextvars.Context) -> dict[str, Any]:
    """What portable storages have in `context`, by name."""
    found = {name: store_in(context, storage) for name, storage in list(_storages.items())}
    return {name: store for name, store in found.items() if store is not MISSING}


def enter(stores: Mapping[str, Any]) -> None:
    """Put what `stores_in()` gave, perhaps in another process, in force here. What no storage of
    this process is named for is left out."""
    for name, store in stores.items():
        storage = _storages.get(name)
        if storage is not None:
            storage.enter_with(store)

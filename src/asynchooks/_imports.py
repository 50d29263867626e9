"""Doing something to a module when the application imports it, and never importing it ourselves."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from asynchooks._reporting import report_once

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    Callback = Callable[[ModuleType], None]

__all__ = ("when_imported",)


def when_imported(name: str, callback: Callback) -> Callable[[], None]:
    """Call `callback(module)` as soon as module `name` has been executed: at once, if it has.

    Returns a function that takes the wish back. A callback that raises is reported once; the
    import goes on.
    """
    module = sys.modules.get(name)
    if module is not None and not _is_initializing(module):
        _call(name, callback, module)
        return lambda: None
    _finder.add(name, callback)
    return lambda: _finder.remove(name, callback)


def _is_initializing(module: ModuleType) -> bool:
    spec = getattr(module, "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _call(name: str, callback: Callback, module: ModuleType) -> None:
    try:
        callback(module)
    except Exception as exc:
        report_once(
            f"import.{name}",
            "asynchooks leaves %s alone: preparing it failed with %r",
            name,
            exc,
            exc_info=True,
        )


class _Finder:
    """On `sys.meta_path` while somebody waits for a module. It finds nothing itself: it asks the
    others and has their loader tell us when the module is executed."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Callback]] = {}
        self._asking: set[str] = set()

    def add(self, name: str, callback: Callback) -> None:
        self._waiting.setdefault(name, []).append(callback)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def remove(self, name: str, callback: Callback) -> None:
        callbacks = self._waiting.get(name, [])
        if callback in callbacks:
            callbacks.remove(callback)
        if not callbacks:
            self._waiting.pop(name, None)
        if not self._waiting and self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if name not in self._waiting or name in self._asking:
            return None
        self._asking.add(name)
        try:
            spec = find_spec(name)
        except (ImportError, ValueError):
            return None
        finally:
            self._asking.discard(name)
        if spec is not None and spec.loader is not None:
            self._listen(name, spec)
        return spec

    def _listen(self, name: str, spec: ModuleSpec) -> None:
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            # The application sees the loader as it would be without us.
            del loader.exec_module
            execute(module)
            for callback in self._waiting.pop(name, []):
                _call(name, callback, module)
            if not self._waiting and self in sys.meta_path:
                sys.meta_path.remove(self)

        try:
            loader.exec_module = exec_module
        except (AttributeError, TypeError):  # a loader without a __dict__: builtin, frozen
            report_once(f"import.{name}", "asynchooks cannot see the import of %s", name)


_finder = _Finder()

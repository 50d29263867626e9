# The C core's typed face. See native/ for the code and ARCHITECTURE.md for the data flow.

import asyncio
import contextvars
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, FrameType, TracebackType
from typing import Any, Final, Self, TypeVar, final

_Class = TypeVar("_Class", bound=type)

__all__ = (
    "KINDS",
    "MISSING",
    "ContextState",
    "Entry",
    "Hook",
    "Resource",
    "Scope",
    "Storage",
    "Use",
    "Wrapper",
    "after_fork_in_child",
    "async_id_of",
    "become_again",
    "become_nobody",
    "call_detached",
    "call_unheard",
    "configure",
    "configure_sites",
    "contexts_of",
    "delete_type_attribute",
    "drop_hooks",
    "disable",
    "enable",
    "execution_async_id",
    "execution_async_resource",
    "install_callbacks",
    "introduce",
    "is_enabled",
    "live_counts",
    "memory",
    "origin",
    "own_methods",
    "root_async_id",
    "set_lookups",
    "set_options",
    "set_transport_types",
    "set_type_attribute",
    "site_frames",
    "site_of_caller",
    "snapshot",
    "start_root",
    "task_of_step",
    "track",
    "trigger_async_id",
    "uninstall_callbacks",
    "watch_scopes",
)

# Every kind of resource, by name; the index is the kind's number in the core.
KINDS: Final[tuple[str, ...]]
# "No store", also as what a storage's variable holds. Not None, which is a store like any other.
MISSING: Final[Any]

def configure(step: object, wakeup: object, task: object) -> None: ...
def configure_sites(
    plumbing: tuple[str, ...],
    libraries: tuple[str, ...],
    installed: tuple[str, ...],
    own: tuple[str, ...],
    /,
) -> None: ...
def set_options(
    site_kinds: int, site_frames: int, counts_cpu_time: bool, budget: int, /
) -> None: ...
def enable() -> None: ...
def disable() -> None: ...
def drop_hooks() -> None: ...
def is_enabled() -> bool: ...
def after_fork_in_child() -> None: ...
def call_unheard(fn: Callable[[], Any], /) -> Any: ...
def execution_async_id() -> int: ...
def trigger_async_id() -> int: ...
def root_async_id() -> int: ...
def execution_async_resource() -> object | None: ...
def async_id_of(resource: object, /) -> int: ...
def start_root() -> int: ...
def call_detached(fn: Callable[..., Any], /, *args: Any) -> Any: ...
def become_nobody() -> tuple[int, int, int, int, int]: ...
def become_again(
    frame: int, is_pushed: int, async_id: int, created_by: int, root: int, /
) -> None: ...
def contexts_of(resource: object, /) -> list[contextvars.Context]: ...
def watch_scopes(
    entered: Callable[[Use, FrameType], object] | None,
    left: Callable[[Use], object] | None,
    /,
) -> None: ...
def own_methods(subclass: _Class, /) -> _Class: ...
def origin(maker: object | None, /) -> tuple[int, int, int]: ...
def track(
    resource: object, kind: int, type_name: str, origin: tuple[int, int, int] = ..., /
) -> None: ...
def introduce(protocol: object, maker: object | None = ..., /) -> None: ...
def set_transport_types(types: Mapping[type, tuple[int, str]] | None, /) -> None: ...
def set_lookups(functions: tuple[object, ...] | None, /) -> None: ...
def task_of_step(callback: object, /) -> asyncio.Task[Any] | None: ...
def site_frames(number: int, /) -> tuple[tuple[CodeType, int], ...]: ...
def site_of_caller() -> tuple[CodeType, int, tuple[tuple[CodeType, int], ...]] | None: ...
def live_counts() -> dict[str, int]: ...
def memory() -> tuple[int, int]: ...
def snapshot(
    kinds: int, root: int, /
) -> Sequence[
    tuple[
        object,
        int,
        str,
        int,
        int,
        int,
        int,
        int,
        str,
        int,
        float,
        float,
        float,
        float,
        bool,
    ]
]: ...
def install_callbacks(loop_type: type, /) -> None: ...
def uninstall_callbacks() -> None: ...
def set_type_attribute(owner: type, name: str, value: object) -> None: ...
def delete_type_attribute(owner: type, name: str) -> None: ...

class Storage:
    name: str
    default: Any
    _variable: contextvars.ContextVar[Any]
    def __init__(self, name: str, default: object) -> None: ...
    def enter_with(self, store: Any, /) -> None: ...

@final
class Entry:
    store: Any

class Scope:
    def __new__(cls, storage: Storage, store: object, /) -> Self: ...
    def __enter__(self) -> Any: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class Use:
    generator: FrameType | None
    def suspend(self) -> None: ...
    def resume(self) -> None: ...

@final
class ContextState:
    def __new__(cls) -> ContextState: ...
    def restore(self) -> None: ...
    def empty(self) -> None: ...

@final
class Hook:
    def __new__(
        cls,
        init: Callable[[int, str, int, object], object] | None,
        before: Callable[[int], object] | None,
        after: Callable[[int], object] | None,
        destroy: Callable[[int], object] | None,
        settled: Callable[[int], object] | None,
        kinds: int,
        raises: bool,
    ) -> Hook: ...
    def enable(self) -> None: ...
    def disable(self) -> None: ...
    @property
    def enabled(self) -> bool: ...

class Resource:
    owner: weakref.ref[Any] | None
    subject: object
    def __new__(
        cls, type_name: str, trigger_async_id: int | None, manual_destroy: bool, kind: int = ...
    ) -> Self: ...
    def run_in_async_scope(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any: ...
    def mark_running(self) -> None: ...
    def mark_done(self) -> None: ...
    def emit_destroy(self) -> None: ...
    def async_id(self) -> int: ...
    def trigger_async_id(self) -> int: ...
    @property
    def type(self) -> str: ...

@final
class Wrapper:
    def __new__(
        cls,
        original: Callable[..., Any],
        action: str,
        kind: int = ...,
        helper: Callable[..., Any] | str | None = ...,
        then: Callable[..., Any] | None = ...,
    ) -> Wrapper: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

# The C core's typed face. See native/ for the code and ARCHITECTURE.md for the data flow.

import asyncio
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from types import CodeType
from typing import Any, Final, Self, final

__all__ = (
    "KINDS",
    "Hook",
    "Resource",
    "Wrapper",
    "after_fork_in_child",
    "async_id_of",
    "call_detached",
    "call_unheard",
    "configure",
    "configure_sites",
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
)

# Every kind of resource, by name; the index is the kind's number in the core.
KINDS: Final[tuple[str, ...]]

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
        helper: Callable[..., Any] | str | Context | None = ...,
        then: Callable[..., Any] | None = ...,
    ) -> Wrapper: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    @property
    def __wrapped__(self) -> Callable[..., Any]: ...

# The C core's typed face. See native/ for the code and ARCHITECTURE.md for the data flow.

import asyncio
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextvars import Context, ContextVar
from types import CodeType, FrameType, TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar, final

from asynchooks.tracing.request import Request as _Request
from asynchooks.tracing.span import (
    AttributeValue,
    Event,
    Link,
    SpanContext,
    SpanKind,
    StatusCode,
)

_Class = TypeVar("_Class", bound=type)

__all__ = (
    "KINDS",
    "MISSING",
    "Answer",
    "ContextState",
    "Entry",
    "ExportBuffer",
    "Hook",
    "QuerySpans",
    "Request",
    "Resource",
    "Scope",
    "Span",
    "Storage",
    "StoreScope",
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
    "current_scope",
    "contexts_of",
    "current_span",
    "delete_type_attribute",
    "drop_hooks",
    "disable",
    "enable",
    "encode_resource",
    "encode_scope",
    "exchange",
    "execution_async_id",
    "execution_async_resource",
    "export_log_record",
    "guard_termination",
    "install_callbacks",
    "introduce",
    "is_enabled",
    "is_exporting_logs",
    "is_terminating",
    "live_counts",
    "mark_delivered",
    "memory",
    "origin",
    "recording_span",
    "release_span",
    "outermost_context",
    "own_methods",
    "release_termination",
    "request_as_json",
    "restore_termination",
    "root_async_id",
    "set_greenlet_type",
    "scope_in",
    "set_log_buffer",
    "set_lookups",
    "set_options",
    "set_sampler",
    "set_span_buffer",
    "set_span_faces",
    "set_span_gate",
    "set_span_limits",
    "set_span_sink",
    "set_task_spans",
    "set_transport_types",
    "set_type_attribute",
    "site_frames",
    "snapshot",
    "start_export_thread",
    "start_root",
    "start_span",
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
def outermost_context() -> Context: ...
def call_detached(fn: Callable[..., Any], /, *args: Any) -> Any: ...
def become_nobody() -> tuple[int, int, int, int, int]: ...
def become_again(
    frame: int, is_pushed: int, async_id: int, created_by: int, root: int, /
) -> None: ...
def contexts_of(resource: object, /) -> list[Context]: ...
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
def set_greenlet_type(greenlet_type: type | None, /) -> None: ...
def set_type_attribute(owner: type, name: str, value: object) -> None: ...
def delete_type_attribute(owner: type, name: str) -> None: ...

# From name, kind, parent, trace id and attributes to whether a span is recorded; or to that,
# attributes to add, and the trace state.
_Sampler: TypeAlias = Callable[
    [str, SpanKind, SpanContext | None, int, Mapping[str, AttributeValue] | None],
    bool | tuple[bool, Mapping[str, AttributeValue] | None, str | None],
]
_CallSite: TypeAlias = tuple[CodeType, int, tuple[tuple[CodeType, int], ...]]

def guard_termination() -> None: ...
def restore_termination() -> None: ...
def release_termination() -> None: ...
def is_terminating() -> bool: ...
def mark_delivered() -> None: ...
def encode_resource(attributes: Mapping[str, AttributeValue], /) -> bytes: ...
def start_export_thread(function: Callable[[], object], /) -> None: ...
def exchange(file: int, head: bytes, body: bytes, seconds: float, /) -> bytes: ...
def request_as_json(request: bytes, signal: str = ..., /) -> bytes: ...
def encode_scope(
    name: str,
    version: str = ...,
    schema_url: str = ...,
    attributes: Mapping[str, AttributeValue] | None = ...,
) -> bytes: ...
def set_span_faces(
    *,
    context: type[SpanContext],
    event: type[Event],
    link: type[Link],
    kinds: tuple[SpanKind, ...],
    statuses: tuple[StatusCode, ...],
    exception: Callable[[BaseException], tuple[str, str, dict[str, AttributeValue]]],
    site: Callable[[_CallSite], Mapping[str, str | int]],
) -> None: ...
def set_span_limits(
    *,
    attributes: int = ...,
    events: int = ...,
    links: int = ...,
    event_attributes: int = ...,
    link_attributes: int = ...,
    log_attributes: int = ...,
    value_length: int = ...,
) -> None: ...
def task_span_hook(
    init: Callable[[int, str, int, object], object], settled: Callable[[int], object], /
) -> Hook: ...
def set_task_spans(tasks: dict[int, tuple[Span, Span]], /) -> None: ...
def current_scope() -> Scope: ...
def scope_in(context: Context, /) -> Scope: ...
def recording_span() -> Span | None: ...
def set_span_gate(gate: Callable[[Span], object] | None, /) -> None: ...
def release_span(span: Span, /) -> None: ...
def set_sampler(sampler: _Sampler | None, decides_children: bool = ..., /) -> None: ...
def set_span_sink(sink: Callable[[Span], object] | None, /) -> None: ...
def set_span_buffer(buffer: ExportBuffer | None, /) -> None: ...
def set_log_buffer(buffer: ExportBuffer | None, /) -> None: ...
def is_exporting_logs() -> bool: ...
def export_log_record(
    span: Span | None,
    scope: bytes | None,
    timestamp: int,
    severity_number: int,
    severity_text: str,
    body: object,
    attributes: Mapping[str, Any] | None,
    /,
) -> None: ...
def current_span() -> Span | None: ...
def start_span(
    name: str,
    *,
    kind: SpanKind = ...,
    attributes: Mapping[str, AttributeValue] | None = None,
    parent: Span | SpanContext | None = ...,
    start_time: int | None = None,
    scope: bytes | None = None,
) -> Span: ...

class Scope:
    span: Span | None
    baggage: Mapping[str, Any] | None
    attached: Mapping[str, object] | None
    composed: tuple[Span | None, Any] | None
    is_suppressed: bool
    records_tasks: bool
    @property
    def is_outermost(self) -> bool: ...
    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    def enter(self) -> None: ...
    def leave(self) -> None: ...
    def __enter__(self) -> Any: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

class Request:
    def __new__(cls, request_id: str, method: str, path: str, root_async_id: int) -> Self: ...
    @property
    def id(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def root_async_id(self) -> int: ...
    @property
    def spans(self) -> tuple[Span, ...]: ...
    @property
    def waiting(self) -> deque[Span]: ...
    is_kept: bool | None
    route: str | None
    user: str | None
    baggage: Mapping[str, str]
    span: Span

@final
class Answer:
    status: int | None
    @property
    def request(self) -> _Request: ...
    def __new__(cls, request: _Request) -> Self: ...
    def begin(self, status: int, headers: Sequence[tuple[bytes, bytes]], /) -> None: ...
    def add(self, size: int, /) -> None: ...
    def disconnect(self) -> None: ...
    def end(self) -> None: ...
    def fail(self, exception: BaseException, /) -> None: ...
    def finish(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

class WSGIBody:
    def __iter__(self) -> Self: ...
    def __next__(self) -> bytes: ...
    def close(self) -> None: ...

class QuerySpans:
    def __new__(
        cls,
        describe: Callable[[str, str, str, int | None], tuple[str, dict[str, str | int]]],
        read: Callable[..., tuple[str, str, str, int | None] | None] | None = ...,
    ) -> Self: ...
    def start(
        self, text: str, namespace: str, address: str, port: int | None, /
    ) -> Span | None: ...
    def __call__(self, owner: object, /, *args: Any, **kwargs: Any) -> Span | None: ...

def start_request(
    *,
    request_id: str,
    method: str,
    path: str,
    parent: SpanContext | None = None,
    baggage: Mapping[str, str] | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    kind: SpanKind = ...,
) -> _Request: ...
def set_request_class(request_class: type[Request], /) -> None: ...
def request_of_root(root: int, /) -> _Request | None: ...
def use_request(request: Request, /) -> Scope: ...
def suppress_tracing() -> Scope: ...
def record_tasks(recorded: bool, /) -> Scope: ...
def start_incoming(
    *,
    method: str,
    path: str,
    headers: Sequence[tuple[bytes, bytes]],
    scheme: str | None = None,
    query: str | None = None,
    version: str | None = None,
    server: Sequence[Any] | None = None,
    client: Sequence[Any] | None = None,
    is_websocket: bool = False,
) -> _Request: ...
def request_id_from(given: str, /) -> str: ...
def set_incoming_helpers(
    *,
    extract: Callable[
        [Sequence[tuple[bytes, bytes]]], tuple[SpanContext | None, Mapping[str, str]]
    ],
    redact_query: Callable[[str], str],
    record_headers: Callable[[Span, str, Sequence[tuple[bytes, bytes]]], object] | None,
) -> None: ...
def asgi_start(scope: MutableMapping[str, Any], /) -> _Request: ...
def asgi_exchange(
    answer: Answer,
    app: Callable[..., Awaitable[None]],
    scope: MutableMapping[str, Any],
    receive: Callable[..., Awaitable[Any]],
    send: Callable[..., Awaitable[None]],
    /,
) -> Awaitable[None]: ...
def wsgi_start(environ: dict[str, Any], /) -> _Request: ...
def wsgi_exchange(
    answer: Answer,
    app: Callable[..., Any],
    environ: dict[str, Any],
    start_response: Callable[..., Any],
    /,
) -> Any: ...
def asgi_sending(
    answer: Answer, message: MutableMapping[str, Any], /
) -> MutableMapping[str, Any]: ...
def asgi_sent(answer: Answer, message: MutableMapping[str, Any], /) -> None: ...

class Span:
    def __new__(
        cls,
        name: str,
        *,
        kind: SpanKind = ...,
        parent: Span | SpanContext | None = None,
        request: _Request | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        start_time: int | None = None,
        call_site: bool = False,
        scope: bytes | None = None,
        context: SpanContext | None = None,
    ) -> Self: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> SpanKind: ...
    @property
    def context(self) -> SpanContext: ...
    @property
    def parent(self) -> SpanContext | None: ...
    @property
    def request(self) -> _Request | None: ...
    @property
    def start_time(self) -> int: ...
    @property
    def end_time(self) -> int | None: ...
    @property
    def attributes(self) -> dict[str, AttributeValue]: ...
    @property
    def events(self) -> list[Event]: ...
    @property
    def links(self) -> list[Link]: ...
    @property
    def dropped_attributes(self) -> int: ...
    @property
    def dropped_events(self) -> int: ...
    @property
    def dropped_links(self) -> int: ...
    @property
    def status_code(self) -> StatusCode: ...
    @property
    def status_description(self) -> str: ...
    @property
    def call_site(self) -> _CallSite | None: ...
    @property
    def scope(self) -> bytes | None: ...
    def is_recording(self) -> bool: ...
    def set_attribute(self, key: str, value: AttributeValue) -> None: ...
    def set_attributes(self, attributes: Mapping[str, AttributeValue], /) -> None: ...
    def add_event(
        self,
        name: str,
        attributes: Mapping[str, AttributeValue] | None = None,
        timestamp: int | None = None,
    ) -> None: ...
    def add_link(
        self, context: Span | SpanContext, attributes: Mapping[str, AttributeValue] | None = None
    ) -> None: ...
    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, AttributeValue] | None = None,
        timestamp: int | None = None,
    ) -> None: ...
    def set_status(self, code: StatusCode, description: str | None = None) -> None: ...
    def update_name(self, name: str, /) -> None: ...
    def end(self, end_time: int | None = None) -> None: ...

@final
class ExportBuffer:
    def __new__(
        cls,
        *,
        start: Callable[[], object],
        scope: bytes,
        capacity: int,
        byte_limit: int,
        batch: int,
        wake_at: int = ...,
    ) -> ExportBuffer: ...
    def wait(self, interval: float, /) -> None: ...
    def wake(self) -> None: ...
    def take(self, resource: bytes, /) -> tuple[int, bytes] | None: ...
    def settle(self, sent: int, dropped: int, /) -> None: ...
    def unattend(self) -> None: ...
    def close(self) -> None: ...
    def stats(self) -> tuple[int, int, int, int]: ...

class Storage:
    name: str
    default: Any
    _variable: ContextVar[Any]
    def __init__(self, name: str, default: object) -> None: ...
    def enter_with(self, store: Any, /) -> None: ...

@final
class Entry:
    store: Any

class StoreScope:
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
        helper: Callable[..., Any] | tuple[Any, ...] | str | Context | None = ...,
        then: Callable[..., Any] | None = ...,
    ) -> Wrapper: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    @property
    def __wrapped__(self) -> Callable[..., Any]: ...

"""structlog: every event inside a request has `request_id`, `trace_id` and `span_id`, before the
first processor sees it, and is recorded before the last one renders it. What the application has
bound under these names stays. (An event that goes on to logging is recorded there.)

These are processors around those of the application, and no wrapped call: structlog finds a line's
caller by the frames.
"""

from __future__ import annotations

import functools
import sys
import time
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded
from asynchooks.libraries.correlation import PassedOn, ids_of
from asynchooks.tracing import add_log_line, current_span, is_log_wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "structlog"
MODULE = "structlog._base"
SUPPORTED = ("21.5", "27")

# Of each method's name: the level's, and its number.
_LEVELS = {
    "debug": ("DEBUG", 10),
    "info": ("INFO", 20),
    "msg": ("INFO", 20),
    "warning": ("WARNING", 30),
    "warn": ("WARNING", 30),
    "error": ("ERROR", 40),
    "err": ("ERROR", 40),
    "exception": ("ERROR", 40),
    "failure": ("ERROR", 40),
    "critical": ("CRITICAL", 50),
    "fatal": ("CRITICAL", 50),
}
# What processors add to an event that the record says already, and what EventRenamer makes of it.
_KNOWN = frozenset(("level", "timestamp", "logger", "exc_info", "exception", "stack"))
_MESSAGE = ("event", "message", "msg")


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.BoundLoggerBase, "__init__", _make_init)


def _make_init(original: Any) -> Any:
    @functools.wraps(original)
    def __init__(self: Any, logger: Any, processors: Any, context: Any) -> None:
        if not isinstance(processors, _Chain):
            processors = _Chain(processors)
        original(self, logger, processors, context)

    return __init__


class _Chain:
    """The application's processors, between ours. They stay one with its configuration, which may
    change."""

    def __init__(self, processors: Iterable[Any]) -> None:
        self._processors = processors

    def __iter__(self) -> Iterator[Any]:
        event = _Event()
        yield event.identify
        processors = list(self._processors)
        yield from processors[:-1]
        yield event.record
        yield from processors[-1:]

    def __eq__(self, other: object) -> bool:
        return self._processors == (other._processors if isinstance(other, _Chain) else other)

    __hash__ = None  # type: ignore[assignment] # as a list

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processors, name)


class _Event:
    """One event on its way through the processors."""

    def __init__(self) -> None:
        self._exception: BaseException | None = None

    def identify(self, logger: Any, method_name: str, event_dict: Any) -> Any:
        guarded(self.identify, self._add_ids, event_dict)
        return event_dict

    def record(self, logger: Any, method_name: str, event_dict: Any) -> Any:
        guarded(self.record, self._record, logger, method_name, event_dict)
        return event_dict

    def _add_ids(self, event_dict: Any) -> None:
        self._exception = _exception_of(event_dict.get("exc_info"))
        span = current_span()
        if span is not None:
            for name, value in ids_of(span).items():
                event_dict.setdefault(name, PassedOn(value))

    def _record(self, logger: Any, method_name: str, event_dict: Any) -> None:
        if hasattr(logger, "handle") or not isinstance(event_dict, dict) or not is_log_wanted():
            return  # what has `handle` is logging's
        severity, level = _LEVELS.get(method_name, (method_name.upper(), 0))
        message = next((key for key in _MESSAGE if key in event_dict), "event")
        module, site = _call_site()
        add_log_line(
            str(event_dict.get(message, "")),
            severity=severity,
            level=level,
            logger=str(getattr(logger, "name", None) or module),
            timestamp=time.time_ns(),
            exception=self._exception,
            site=site,
            extra=lambda: {
                key: value
                for key, value in event_dict.items()
                if key != message and key not in _KNOWN and not isinstance(value, PassedOn)
            },
        )


def _exception_of(exc_info: Any) -> BaseException | None:
    if exc_info is True or exc_info == 1:
        return sys.exc_info()[1]
    if isinstance(exc_info, tuple) and len(exc_info) == 3:
        exc_info = exc_info[1]
    return exc_info if isinstance(exc_info, BaseException) else None


def _call_site() -> tuple[str, Mapping[str, str | int]]:
    """The module that logs, and the line, as structlog itself finds them."""
    from structlog._frames import _find_first_app_frame_and_name

    frame, module = _find_first_app_frame_and_name(["asynchooks"])
    return module, {
        "code.file.path": frame.f_code.co_filename,
        "code.function.name": frame.f_code.co_name,
        "code.line.number": frame.f_lineno,
    }

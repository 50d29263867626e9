"""structlog: every event inside a request has `request_id`, `trace_id` and `span_id`, before the
first processor sees it, and is an event of its span. What the application has bound under these
names stays. (An event that goes on to logging is recorded there.)

It is a processor before those of the application, and not a wrapped call: structlog finds a line's
caller by the frames.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded
from asynchooks.libraries.correlation import PassedOn, add_log_event, ids_of
from asynchooks.tracing import current_span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "structlog"
MODULE = "structlog._base"
SUPPORTED = ("21.5", "27")


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
    """The application's processors, after ours. They stay one with its configuration, which may
    change."""

    def __init__(self, processors: Iterable[Any]) -> None:
        self._processors = processors

    def __iter__(self) -> Iterator[Any]:
        yield _correlate
        yield from self._processors

    def __eq__(self, other: object) -> bool:
        return self._processors == (other._processors if isinstance(other, _Chain) else other)

    __hash__ = None  # type: ignore[assignment] # as a list

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processors, name)


def _correlate(logger: Any, method_name: str, event_dict: Any) -> Any:
    guarded(_correlate, _add_ids, logger, method_name, event_dict)
    return event_dict


def _add_ids(logger: Any, method_name: str, event_dict: Any) -> None:
    span = current_span()
    if span is None:
        return
    for name, value in ids_of(span).items():
        event_dict.setdefault(name, PassedOn(value))
    if hasattr(logger, "handle"):
        return  # logging's
    exception = event_dict.get("exc_info")
    add_log_event(
        str(event_dict.get("event", "")),
        severity=method_name.upper(),
        logger=str(getattr(logger, "name", None) or ""),
        exception=exception if isinstance(exception, BaseException) else None,
    )

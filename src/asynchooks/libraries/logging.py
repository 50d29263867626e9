"""logging: every record knows its request, and every request its log lines.

A record that a logger handles has `request_id`, `trace_id` and `span_id`, "-" outside of any
request, before the first filter sees it. Where the application gives a record fields of these
names itself (`extra=`), those stay. They are set in `Logger.handle`, not when the record is made:
`extra=` refuses names that a new record has already.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded
from asynchooks.tracing import current_span, is_suppressed

if TYPE_CHECKING:
    import logging
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "logging"
MODULE = "logging"
SUPPORTED = None

_OUTSIDE = "-"


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.Logger, "handle", _make_handle)


def _make_handle(original: Any) -> Any:
    @functools.wraps(original)
    def handle(self: logging.Logger, record: logging.LogRecord) -> None:
        guarded(original, _correlate, self, record)
        original(self, record)

    return handle


def _correlate(logger: logging.Logger, record: logging.LogRecord) -> None:
    span = current_span()
    fields = record.__dict__
    if span is None:
        request_id = trace_id = span_id = _OUTSIDE
    else:
        request_id = span.request.id if span.request is not None else _OUTSIDE
        trace_id = f"{span.context.trace_id:032x}"
        span_id = f"{span.context.span_id:016x}"
    is_first = "trace_id" not in fields
    fields.setdefault("request_id", request_id)
    fields.setdefault("trace_id", trace_id)
    fields.setdefault("span_id", span_id)
    if span is None or not is_first or logger.disabled or is_suppressed():
        return
    if record.name == "asynchooks":
        return
    attributes: dict[str, Any] = {
        "log.message": _message_of(record),
        "log.severity": record.levelname,
        "log.logger": record.name,
        "code.file.path": record.pathname,
        "code.line.number": record.lineno,
    }
    if record.exc_info and record.exc_info[0] is not None:
        attributes["exception.type"] = record.exc_info[0].__qualname__
        attributes["exception.message"] = str(record.exc_info[1])
    span.add_event("log", attributes, int(record.created * 1e9))


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        return str(record.msg)

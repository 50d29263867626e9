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
from asynchooks.libraries.correlation import PassedOn, add_log_event, ids_of
from asynchooks.tracing import current_span

if TYPE_CHECKING:
    import logging
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "logging"
MODULE = "logging"
SUPPORTED = None


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.Logger, "handle", _make_handle)


def _make_handle(original: Any) -> Any:
    @functools.wraps(original)
    def handle(self: logging.Logger, record: logging.LogRecord) -> None:
        guarded(original, _correlate, self, record)
        original(self, record)

    return handle


def _correlate(logger: logging.Logger, record: logging.LogRecord) -> None:
    fields = record.__dict__
    # A record may be handled twice, as by a queue; the second time tells nothing new.
    is_first = isinstance(fields.get("trace_id", PassedOn()), PassedOn)
    for name, value in ids_of(current_span()).items():
        fields.setdefault(name, value)
    if not is_first or logger.disabled or record.name == "asynchooks":
        return
    add_log_event(
        _message_of(record),
        severity=record.levelname,
        logger=record.name,
        exception=record.exc_info[1] if record.exc_info else None,
        timestamp=int(record.created * 1e9),
        **{"code.file.path": record.pathname, "code.line.number": record.lineno},
    )


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        return str(record.msg)

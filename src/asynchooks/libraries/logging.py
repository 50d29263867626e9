"""logging: every record knows its request, and every request its log lines.

A record that a logger handles has `request_id`, `trace_id` and `span_id`, "-" outside of any
request, before the first filter sees it. Where the application gives a record fields of these
names itself (`extra=`), those stay. They are set in `Logger.handle`, not when the record is made:
`extra=` refuses names that a new record has already.

It is recorded in `Logger.callHandlers`, behind the logger's filters: what they keep back nobody
sees, and what they blacken out is black.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks.libraries.calls import guarded
from asynchooks.libraries.correlation import IDS, PassedOn, ids_of
from asynchooks.tracing import add_log_line, current_span, is_log_wanted

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "logging"
MODULE = "logging"
SUPPORTED = None

_FRESH = frozenset(vars(logging.makeLogRecord({})))
_STANDARD = _FRESH | {"message", "asctime"}  # which formatters add
_NEW = PassedOn()


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.Logger, "handle", partial(_preceded, step=_identify))
    patches.wrap(module.Logger, "callHandlers", partial(_preceded, step=_record))


def _preceded(original: Any, step: Callable[[logging.Logger, logging.LogRecord], None]) -> Any:
    """`original`, called as it is, after `step`."""
    return _native.Wrapper(original, "arguments", helper=partial(guarded, original, step))


def _identify(logger: logging.Logger, record: logging.LogRecord) -> None:
    """Set the ids. A record may be handled twice, as by a queue, and the second time tells nothing
    new: one that is still to be recorded is known by the type of its ids."""
    fields = record.__dict__
    handed_on = _ids_of_loguru(fields)
    is_new = handed_on is None and (
        fields.keys().isdisjoint(IDS)
        or any(isinstance(fields.get(name, _NEW), PassedOn) for name in IDS)
    )
    for name, value in (handed_on or ids_of(current_span())).items():
        if name not in fields:
            fields[name] = PassedOn(value) if is_new else value


def _ids_of_loguru(fields: dict[str, Any]) -> dict[str, Any] | None:
    """Those of a line that loguru hands on, as its documentation shows, maybe from a thread of its
    own, and that was recorded there."""
    extra = fields.get("extra")
    if not isinstance(extra, dict) or not extra.keys() >= set(IDS):
        return None
    return {name: extra[name] for name in IDS}


def _record(logger: logging.Logger, record: logging.LogRecord) -> None:
    fields = record.__dict__
    ours = []
    for name in IDS:
        value = fields.get(name)
        if isinstance(value, PassedOn):
            fields[name] = str(value)
            ours.append(name)
    if not ours or record.name == "asynchooks" or not is_log_wanted():
        return
    exc_info = record.exc_info
    add_log_line(
        _message_of(record),
        severity=record.levelname,
        level=record.levelno,
        logger=record.name,
        timestamp=int(record.created * 1e9),
        exception=exc_info[1] if exc_info else None,
        site={
            "code.file.path": record.pathname,
            "code.function.name": record.funcName,
            "code.line.number": record.lineno,
        },
        extra=partial(_extra, fields, ours) if len(fields) > len(_FRESH) + len(ours) else dict,
    )


def _extra(fields: dict[str, Any], ours: list[str]) -> dict[str, Any]:
    """What the application has added to a record."""
    return {
        name: value for name, value in fields.items() if name not in _STANDARD and name not in ours
    }


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        return str(record.msg)

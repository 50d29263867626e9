"""loguru: every record has `request_id`, `trace_id` and `span_id` in its `extra`, "-" outside of
any request, and is recorded as the application's patchers leave it. Where the application has
bound these names itself, its values stay. A line that logging hands on is recorded there."""

from __future__ import annotations

import functools
import logging
import sys
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks.libraries.calls import guarded, step_out
from asynchooks.libraries.correlation import ids_of
from asynchooks.tracing import add_log_line, current_span, is_log_wanted

if TYPE_CHECKING:
    from types import FrameType, ModuleType

    from asynchooks._patching import Patches

NAME = "loguru"
MODULE = "loguru._logger"
SUPPORTED = ("0.7", "1")

# How many frames may lie between what is called here and a handler of logging that calls loguru.
_MAXIMUM_FRAMES = 12


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.Logger, "_log", _make_log)


def _make_log(original: Any) -> Any:
    @functools.wraps(original)
    def _log(self: Any, level: Any, from_decorator: Any, options: Any, *rest: Any) -> None:
        changed = guarded(original, _with_patcher, options)
        try:
            original(self, level, from_decorator, changed or options, *rest)
        except BaseException as exc:
            step_out(exc)
            raise

    return _log


def _with_patcher(options: Any) -> Any:
    """The options of a call, which comes from one frame further away, with a patcher of ours."""
    exception, depth, record, lazy, colors, raw, capture, patchers, extra = options
    patchers = [*patchers, _correlate]
    return exception, depth + 1, record, lazy, colors, raw, capture, patchers, extra


def _correlate(record: Any) -> None:
    guarded(_correlate, _add_ids, record)


def _add_ids(record: Any) -> None:
    own = record["extra"]
    record["extra"] = {**ids_of(current_span()), **own}
    if not is_log_wanted() or _comes_from_logging(record["message"]):
        return
    exception = record["exception"]
    add_log_line(
        record["message"],
        severity=record["level"].name,
        level=record["level"].no,
        logger=record["name"] or "",
        timestamp=int(record["time"].timestamp() * 1e9),
        exception=exception.value if exception is not None else None,
        site={
            "code.file.path": record["file"].path,
            "code.function.name": record["function"],
            "code.line.number": record["line"],
        },
        extra=lambda: own,
    )


def _comes_from_logging(message: str) -> bool:
    """Whether this is the line of a record that a handler of logging has: loguru's documentation
    shows one that hands them on. Where logging is not traced, nobody has recorded it."""
    if not isinstance(vars(logging.Logger)["callHandlers"], _native.Wrapper):
        return False
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_MAXIMUM_FRAMES):
        if frame is None:
            break
        if frame.f_code is logging.Handler.handle.__code__:
            handled: str = frame.f_locals["record"].getMessage()
            return handled == message
        frame = frame.f_back
    return False

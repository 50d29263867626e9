"""loguru: every record has `request_id`, `trace_id` and `span_id` in its `extra`, "-" outside of
any request, and is an event of its span. Where the application has bound these names itself, its
values stay."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded, step_out
from asynchooks.libraries.correlation import add_log_event, ids_of
from asynchooks.tracing import current_span

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "loguru"
MODULE = "loguru._logger"
SUPPORTED = ("0.7", "1")


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
    record["extra"] = {**ids_of(current_span()), **record["extra"]}
    exception = record["exception"]
    add_log_event(
        record["message"],
        severity=record["level"].name,
        logger=record["name"] or "",
        exception=exception.value if exception is not None else None,
        timestamp=int(record["time"].timestamp() * 1e9),
        **{"code.file.path": record["file"].path, "code.line.number": record["line"]},
    )

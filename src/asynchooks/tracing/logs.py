"""Lines of logs: records of their own, where the environment asks for their export, else events of
the span that they were written in. Never both: who receives the two would show each line twice."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks import _native
from asynchooks.tracing.current import current_span, is_suppressed
from asynchooks.tracing.span import exception_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ("add_log_line", "is_log_wanted")

# Where OpenTelemetry calls a level by another name.
_SEVERITIES = {"WARNING": "WARN", "CRITICAL": "FATAL"}


def is_log_wanted() -> bool:
    """Whether a line that is written here is recorded in either way."""
    return _native.is_exporting_logs() or (current_span() is not None and not is_suppressed())


def add_log_line(
    message: str,
    *,
    severity: str,
    level: int,
    logger: str,
    timestamp: int,
    exception: BaseException | None,
    site: Mapping[str, str | int],
    extra: Callable[[], Mapping[Any, Any]],
) -> None:
    """Record a line of a log.

    Args:
        severity: what the level is called.
        level: its number, by the scale of `logging`.
        timestamp: when it was written, in ns since the epoch.
        site: where, by OpenTelemetry's attributes.
        extra: asked for the application's fields, of which a record has those that are text,
            numbers or bools, in their order.
    """
    span = current_span()
    if not _native.is_exporting_logs():
        if span is not None and not is_suppressed():
            known = {"log.message": message, "log.severity": severity, "log.logger": logger}
            span.add_event("log", {**known, **site, **_brief(exception)}, timestamp)
        return
    attributes: dict[str, Any] = dict(site)
    if exception is not None:
        attributes.update(exception_attributes(exception))
    for name, value in extra().items():
        if isinstance(value, (str, int, float)) and isinstance(name, str):
            attributes.setdefault(name, value)
    _native.export_log_record(
        span,
        _scope(logger),
        timestamp,
        _NUMBERS[max(0, min(level, 53))],
        _SEVERITIES.get(severity, severity),
        message,
        attributes,
    )


def _brief(exception: BaseException | None) -> dict[str, str]:
    if exception is None:
        return {}
    return {"exception.type": type(exception).__qualname__, "exception.message": str(exception)}


@functools.lru_cache(maxsize=1024)
def _scope(logger: str) -> bytes:
    return _native.encode_scope(logger)


def _severity_number(level: int) -> int:
    """OpenTelemetry's, which has four numbers for each step of ten; 0 is "unspecified"."""
    if level < 10:
        return 1 if level > 0 else 0
    step, rest = divmod(level, 10)
    return 4 * step + 1 + min(rest, 3)


# By level; what is above the last is as severe as that.
_NUMBERS = tuple(_severity_number(level) for level in range(54))

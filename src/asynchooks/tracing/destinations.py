"""Where spans, or log records, go, as the environment says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.tracing.console import ConsoleWriter
from asynchooks.tracing.file import FileWriter
from asynchooks.tracing.sender import Sender

if TYPE_CHECKING:
    from asynchooks.tracing.export_config import ExportConfig
    from asynchooks.tracing.exporter import Destination

__all__ = ("make_destination",)


def make_destination(config: ExportConfig) -> Destination | None:
    """What `OTEL_TRACES_EXPORTER` or `OTEL_LOGS_EXPORTER` names; None: nothing is exported."""
    if config.exporter == "console":
        return ConsoleWriter(config.signal)
    if config.exporter == "file":
        return FileWriter(config.file, config.signal)
    if config.exporter == "otlp" and config.endpoint is not None:
        return Sender(config)
    return None

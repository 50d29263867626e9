"""Where spans go, as the environment says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.tracing.console import ConsoleWriter
from asynchooks.tracing.file import FileWriter
from asynchooks.tracing.sender import Sender

if TYPE_CHECKING:
    from asynchooks.tracing.config import Config
    from asynchooks.tracing.exporter import Destination

__all__ = ("make_destination",)


def make_destination(config: Config) -> Destination | None:
    """What `OTEL_TRACES_EXPORTER` names, or None where nothing is to be exported."""
    if config.exporter == "console":
        return ConsoleWriter()
    if config.exporter == "file":
        return FileWriter(config.file)
    if config.exporter == "otlp" and config.endpoint is not None:
        return Sender(config)
    return None

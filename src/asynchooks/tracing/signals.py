"""The signals of OpenTelemetry that are exported: spans, and log records."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from asynchooks import _native

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("LOGS", "TRACES", "Signal")


class Signal(NamedTuple):
    """A signal: what its variables, its records and its part of the core are called.

    Attributes:
        name: in OTLP's paths, in variables, for `_native.request_as_json`.
        records: what it is made of.
        queue: what variables of its queue are called by.
        set_buffer: has the core encode its records into a buffer.
    """

    name: str
    records: str
    queue: str
    set_buffer: Callable[[_native.ExportBuffer | None], None]

    @property
    def count_of_dropped(self) -> str:
        """The resource's attribute that counts those that were dropped."""
        return f"asynchooks.dropped_{self.records.replace(' ', '_')}"


TRACES = Signal("traces", "spans", "BSP", _native.set_span_buffer)
LOGS = Signal("logs", "log records", "BLRP", _native.set_log_buffer)

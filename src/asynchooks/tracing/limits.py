"""How much one span may hold: OpenTelemetry's limits and its defaults."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ("DEFAULT_LIMITS", "Limits")


class Limits(NamedTuple):
    """Counts, and the length of a string in characters, which OpenTelemetry leaves unlimited."""

    attributes: int = 128
    value_length: int = 16 * 1024
    events: int = 128
    links: int = 128
    event_attributes: int = 128
    link_attributes: int = 128


DEFAULT_LIMITS = Limits()

"""Spans without an exporter: those that ended are kept in a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asynchooks.tracing import Span, set_sink

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ended() -> Iterator[list[Span]]:
    """Every span that has ended, in that order."""
    spans: list[Span] = []
    set_sink(spans.append)
    yield spans
    set_sink(None)

"""OpenTelemetry's API on our spans, with what was recorded at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace as trace_api
from opentelemetry.util._once import Once

from asynchooks import opentelemetry, tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.libraries.conftest import Trace


@pytest.fixture(autouse=True)
def no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application has set no provider, and may."""
    monkeypatch.setattr(trace_api, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace_api, "_TRACER_PROVIDER_SET_ONCE", Once())


@pytest.fixture
def connected(trace: Trace) -> Iterator[Trace]:
    """The API is ours."""
    opentelemetry.install()
    yield trace
    opentelemetry.uninstall()


@pytest.fixture
def tracer(connected: Trace) -> trace_api.Tracer:
    """One of the API's tracers."""
    return trace_api.get_tracer("test.scope", "1.2")


@pytest.fixture
def sampler() -> Iterator[None]:
    """Whatever sampler the test sets is taken back."""
    yield
    tracing.set_sampler(tracing.DEFAULT_SAMPLER)

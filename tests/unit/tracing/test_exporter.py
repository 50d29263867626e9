"""The exporter: bounded, in the background, and quiet, whatever the receiver does."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from asynchooks import _native
from asynchooks.tracing import Span, sender
from asynchooks.tracing.config import Config
from asynchooks.tracing.connection import _Plain
from asynchooks.tracing.exporter import Exporter
from asynchooks.tracing.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Receiver:
    """An OTLP receiver that answers as it is told."""

    def __init__(self) -> None:
        self.statuses: list[int] = []  # what to answer next; 200 when there is nothing
        self.requests: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.is_asked = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.is_asked.set()
                receiver.may_answer.wait()
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                if status == 200:
                    receiver.headers.append({k.lower(): v for k, v in self.headers.items()})
                    if self.headers["content-encoding"] == "gzip":
                        body = gzip.decompress(body)
                    receiver.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "0")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def names(self) -> list[str]:
        return [
            span.name
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def make_exporter(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Exporter]]:
    monkeypatch.setattr(sender, "_FIRST_BACKOFF", 0.001)
    made: list[Exporter] = []

    def make(endpoint: str | None = receiver.url, **more: Any) -> Exporter:
        config = Config(endpoint=endpoint, given_name="shop", **more)
        made.append(Exporter(config, Sender(config)))
        return made[-1]

    yield make
    receiver.may_answer.set()
    for exporter in made:
        exporter.shutdown()
    _native.set_span_buffer(None)


def end_span(name: str = "one") -> None:
    Span(name).end()


def test_spans_arrive_with_their_resource(
    receiver: Receiver, make_exporter: Callable[..., Exporter]
) -> None:
    exporter = make_exporter(
        headers={"api-key": "k"}, resource_attributes={"deployment.environment.name": "test"}
    )
    for number in range(3):
        end_span(str(number))
    assert exporter.flush(30)
    assert receiver.names == ["0", "1", "2"]
    (resource,) = (r.resource for r in receiver.requests[0].resource_spans)
    attributes = {pair.key: pair.value for pair in resource.attributes}
    assert attributes["service.name"].string_value == "shop"
    assert attributes["deployment.environment.name"].string_value == "test"
    assert attributes["process.pid"].int_value == os.getpid()
    assert receiver.headers[0]["api-key"] == "k"
    assert receiver.headers[0]["content-type"] == "application/x-protobuf"
    assert exporter.stats() == (3, 3, 0, 0)


@pytest.mark.parametrize(("compression", "encoding"), [("none", None), ("gzip", "gzip")])
def test_batches_are_compressed_where_that_is_asked_for(
    receiver: Receiver,
    make_exporter: Callable[..., Exporter],
    compression: str,
    encoding: str | None,
) -> None:
    exporter = make_exporter(compression=compression)
    end_span()
    assert exporter.flush(30)
    assert receiver.names == ["one"]
    assert receiver.headers[0].get("content-encoding") == encoding


def test_nothing_is_lost_or_twice_from_many_threads(
    receiver: Receiver, make_exporter: Callable[..., Exporter]
) -> None:
    exporter = make_exporter()

    def submit(prefix: int) -> None:
        for number in range(400):
            end_span(f"{prefix}-{number}")

    threads = [threading.Thread(target=submit, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert exporter.flush(30)
    assert sorted(receiver.names) == sorted(f"{p}-{n}" for p in range(8) for n in range(400))
    assert exporter.stats() == (3200, 3200, 0, 0)


def test_beyond_its_capacity_spans_are_dropped_and_counted(
    receiver: Receiver, make_exporter: Callable[..., Exporter]
) -> None:
    exporter = make_exporter(queue_size=10, batch_size=10)
    receiver.may_answer.clear()
    end_span("first")
    assert receiver.is_asked.wait(30)
    for number in range(25):
        end_span(str(number))  # never waits, though nobody takes anything
    assert exporter.stats() == (26, 0, 15, 11)
    receiver.may_answer.set()
    assert exporter.flush(30)
    assert receiver.names == ["first", *map(str, range(10))]
    attributes = receiver.requests[-1].resource_spans[0].resource.attributes
    dropped = {pair.key: pair.value.int_value for pair in attributes}["asynchooks.dropped_spans"]
    assert dropped == 15


def test_flush_gives_up_in_time(receiver: Receiver, make_exporter: Callable[..., Exporter]) -> None:
    exporter = make_exporter()
    receiver.may_answer.clear()
    end_span()
    assert not exporter.flush(0.05)
    receiver.may_answer.set()
    assert exporter.flush(30)
    assert receiver.names == ["one"]


def test_nothing_to_flush_starts_no_thread(make_exporter: Callable[..., Exporter]) -> None:
    before = set(threading.enumerate())
    exporter = make_exporter()
    assert exporter.flush(0)
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_receiver_that_says_later_is_asked_again(
    receiver: Receiver, make_exporter: Callable[..., Exporter], status: int
) -> None:
    receiver.statuses = [status, status]
    exporter = make_exporter()
    end_span()
    assert exporter.flush(30)
    assert receiver.names == ["one"]
    assert exporter.stats() == (1, 1, 0, 0)


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500])
def test_a_receiver_that_says_no_is_not_asked_again(
    receiver: Receiver,
    make_exporter: Callable[..., Exporter],
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    receiver.statuses = [status]
    exporter = make_exporter()
    end_span("refused")
    assert exporter.flush(30)
    end_span("taken")
    assert exporter.flush(30)
    assert receiver.names == ["taken"]
    assert exporter.stats() == (2, 1, 1, 0)
    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert f"HTTP {status}" in warning
    assert receiver.url in warning


def test_a_dead_receiver_is_spoken_of_once(
    make_exporter: Callable[..., Exporter], caplog: pytest.LogCaptureFixture
) -> None:
    exporter = make_exporter("http://127.0.0.1:1/v1/traces")
    for _ in range(5):
        end_span()
        assert exporter.flush(30)
    assert exporter.stats() == (5, 0, 5, 0)
    (warning,) = caplog.records
    assert "http://127.0.0.1:1/v1/traces" in warning.getMessage()
    assert "asynchooks view" in warning.getMessage()


def test_a_kept_connection_that_was_closed_is_made_anew(
    receiver: Receiver, make_exporter: Callable[..., Exporter]
) -> None:
    exporter = make_exporter()
    end_span("before")
    assert exporter.flush(30)
    destination = exporter._destination
    assert isinstance(destination, Sender)
    wire = destination._connection._wire
    assert isinstance(wire, _Plain)
    wire._socket.shutdown(2)
    end_span("after")
    assert exporter.flush(30)
    assert receiver.names == ["before", "after"]


def test_after_shutdown_spans_are_dropped(
    receiver: Receiver, make_exporter: Callable[..., Exporter]
) -> None:
    exporter = make_exporter()
    end_span("before")
    exporter.shutdown()
    exporter.shutdown()
    end_span("after")
    assert receiver.names == ["before"]
    assert exporter.stats() == (2, 1, 1, 0)


SCRIPT = """
import multiprocessing
import sys

from asynchooks.tracing import Span
from asynchooks.tracing.config import Config
from asynchooks.tracing.exporter import Exporter
from asynchooks.tracing.sender import Sender


def child():
    Span("child").end()


config = Config(endpoint=sys.argv[1])
exporter = Exporter(config, Sender(config))
if __name__ == "__main__":
    for number in range(100):
        Span(f"parent {number}").end()
    process = multiprocessing.get_context(sys.argv[2]).Process(target=child)
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_parent_and_child_each_send_their_own_before_they_end(
    receiver: Receiver, tmp_path: Path, method: str
) -> None:
    """And a forked child not what the parent's queue held, which would be sent twice."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    subprocess.run([sys.executable, script, receiver.url, method], check=True, timeout=60)
    assert sorted(receiver.names) == sorted(["child", *(f"parent {n}" for n in range(100))])


GREENLETS = """
import sys, warnings
warnings.simplefilter("ignore")
from asynchooks import tracing

if sys.argv[1] == "after":
    tracing.install()
if sys.argv[2] == "gevent":
    from gevent import monkey, sleep
    monkey.patch_all()
else:
    from eventlet import monkey_patch, sleep
    monkey_patch()
if sys.argv[1] == "before":
    tracing.install()
for number in range(1000):
    tracing.Span(str(number)).end()
while tracing.stats().waiting:  # others go on
    sleep(0.001)
tracing.Span("last").end()
assert tracing.flush(30)
assert tracing.stats() == (1001, 1001, 0, 0)
tracing.uninstall()
"""


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
@pytest.mark.parametrize("patched", ["before", "after"])
def test_greenlets_in_the_place_of_threads_are_not_held_up(
    receiver: Receiver, library: str, patched: str
) -> None:
    """The exporter waits in the core, which no greenlet may."""
    command = [sys.executable, "-c", GREENLETS, patched, library]
    environment = {
        **os.environ,
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.url,
    }
    subprocess.run(command, check=True, timeout=60, env=environment)
    assert sorted(receiver.names) == sorted(["last", *map(str, range(1000))])

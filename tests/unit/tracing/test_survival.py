"""A receiver that misbehaves in every way that a server on a real socket can: what is sent and what
is dropped adds up to what ended, and the exporter goes on."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from asynchooks import _native
from asynchooks.tracing import Span, sender
from asynchooks.tracing.config import Config
from asynchooks.tracing.exporter import Exporter
from asynchooks.tracing.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Server:
    """Speaks HTTP by hand, so that it can also speak it badly. What it does with each request in
    turn is named in `plan`; when that is empty, it takes everything."""

    def __init__(self) -> None:
        self.plan: list[str] = []
        self.names: list[str] = []  # of all that it has taken
        self.requests = 0
        self.largest = 1 << 30  # spans in a request
        self.may_go_on = threading.Event()
        self.is_asked = threading.Semaphore(0)  # once for each request
        self.may_take = threading.Semaphore(0)  # once for each that is held
        self.partial = ExportTraceServiceResponse()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.listen(0)

    def listen(self, port: int) -> None:
        self._is_stopping = False
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def stop(self) -> None:
        self._is_stopping = True
        self.may_go_on.set()
        # shutdown() wakes accept(), close() alone does not
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the other side may have reset it
                    connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _accept(self) -> None:
        threads = []
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                break
            with self._lock:
                self._open.add(connection)
            threads.append(threading.Thread(target=self._serve, args=(connection,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as stream:
                while (body := self._read_request(stream)) is not None:
                    if not self._answer(connection, body):
                        break
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _read_request(self, stream: Any) -> bytes | None:
        length = 0
        line = stream.readline()
        if not line:
            return None
        while line not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            line = stream.readline()
        return bytes(stream.read(length))

    def _answer(self, connection: socket.socket, body: bytes) -> bool:
        self.requests += 1
        self.is_asked.release()
        act = self.plan.pop(0) if self.plan else "take"
        request = ExportTraceServiceRequest.FromString(body)
        names = [
            span.name for scope in request.resource_spans[0].scope_spans for span in scope.spans
        ]
        if act == "take" and len(names) > self.largest:
            act = "413"
        status, headers, content = 200, "", b""
        if act == "hold":
            self.may_take.acquire()
            act = "take"
        if act == "take":
            self.names += names
        elif act == "partial":
            self.names += names[: len(names) - self.partial.partial_success.rejected_spans]
            content = self.partial.SerializeToString()
        elif act == "reset":
            linger = struct.pack("ii", 1, 0)  # close() sends RST
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return False
        elif act == "close":
            return False
        elif act == "hang":
            self.may_go_on.wait()
            return False
        elif act == "drip":  # never silent for long, never done
            connection.sendall(b"HTTP/1.1 200 OK\r\na: ")
            while not self.may_go_on.wait(0.005):
                connection.sendall(b"b")
            return False
        elif act == "garbage":
            connection.sendall(random.Random(1).randbytes(1000) + b"\r\n\r\n")
            return False
        elif act == "cut":  # in the middle of saying yes
            self.names += names
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort")
            return False
        elif act == "endless":
            self.names += names
            connection.sendall(
                b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n" + b"x" * 70_000
            )
            return False
        elif act == "nonsense headers":
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000 + b"\r\n")
            return False
        else:
            word, _, retry_after = act.partition(" ")
            status = int(word)
            if retry_after:
                headers = f"retry-after: {retry_after}\r\n"
        head = f"HTTP/1.1 {status} Because\r\n{headers}content-length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content)
        return True


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def make_exporter(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Exporter]]:
    monkeypatch.setattr(sender, "_FIRST_BACKOFF", 0.001)
    monkeypatch.setattr(sender, "_MAXIMUM_BACKOFF", 0.001)
    made: list[Exporter] = []

    def make(**more: Any) -> Exporter:
        config = Config(endpoint=f"http://127.0.0.1:{server.port}/v1/traces", **more)
        made.append(Exporter(config, Sender(config)))
        return made[-1]

    yield make
    server.may_go_on.set()
    for exporter in made:
        exporter.shutdown()
    _native.set_span_buffer(None)


def end_spans(count: int, prefix: str = "") -> list[str]:
    names = [f"{prefix}{number}" for number in range(count)]
    for name in names:
        Span(name).end()
    return names


@pytest.mark.parametrize(
    "act",
    ["429", "502", "503", "504", "503 0", "429 1", f"503 {formatdate(0, usegmt=True)}", "503 soon"],
)
def test_later_means_later(
    server: Server, make_exporter: Callable[..., Exporter], act: str
) -> None:
    exporter = make_exporter()
    server.plan = [act, act]
    names = end_spans(3)
    assert exporter.flush(30)
    assert server.names == names
    assert exporter.stats() == (3, 3, 0, 0)
    assert server.requests == 3


@pytest.mark.parametrize("act", ["400", "401", "403", "404", "408", "413", "500", "501", "505"])
def test_no_means_no(server: Server, make_exporter: Callable[..., Exporter], act: str) -> None:
    exporter = make_exporter()
    server.plan = [act]
    end_spans(1)
    assert exporter.flush(30)
    assert (server.requests, server.names) == (1, [])
    assert exporter.stats() == (1, 0, 1, 0)


def test_never_ending_later_is_given_up(
    server: Server, make_exporter: Callable[..., Exporter]
) -> None:
    exporter = make_exporter()
    server.plan = ["503"] * 1000
    end_spans(4)
    assert exporter.flush(30)
    assert exporter.stats() == (4, 0, 4, 0)
    assert server.requests == 5
    server.plan.clear()
    names = end_spans(2)
    assert exporter.flush(30)
    assert server.names == names
    assert exporter.stats() == (6, 2, 4, 0)


def test_too_large_is_split(server: Server, make_exporter: Callable[..., Exporter]) -> None:
    exporter = make_exporter()
    server.largest = 10
    names = end_spans(100)
    assert exporter.flush(30)
    assert server.names == names
    assert exporter.stats() == (100, 100, 0, 0)


def test_what_is_too_large_alone_is_dropped_alone(
    server: Server, make_exporter: Callable[..., Exporter]
) -> None:
    exporter = make_exporter()
    names = end_spans(4)
    server.plan = ["413", "413", "413"]  # of four, of the first two, and of the first
    assert exporter.flush(30)
    assert server.names == names[1:]
    assert exporter.stats() == (4, 3, 1, 0)


def test_partial_success_is_counted(
    server: Server, make_exporter: Callable[..., Exporter], caplog: pytest.LogCaptureFixture
) -> None:
    exporter = make_exporter()
    server.partial.partial_success.rejected_spans = 3
    server.partial.partial_success.error_message = "too old"
    server.plan = ["partial"]
    end_spans(10)
    assert exporter.flush(30)
    assert exporter.stats() == (10, 7, 3, 0)
    (record,) = (r for r in caplog.records if r.levelname == "WARNING")
    assert "rejected 3 spans: too old" in record.getMessage()


@pytest.mark.parametrize("act", ["reset", "close", "garbage", "cut", "nonsense headers"])
def test_a_broken_connection_is_made_anew(
    server: Server, make_exporter: Callable[..., Exporter], act: str
) -> None:
    exporter = make_exporter()
    names = end_spans(1, "before ")
    assert exporter.flush(30)
    server.plan = [act, act]
    names += end_spans(2)
    assert exporter.flush(30)
    assert server.names == names
    assert exporter.stats() == (3, 3, 0, 0)


def test_an_answer_without_end_is_not_read(
    server: Server, make_exporter: Callable[..., Exporter]
) -> None:
    exporter = make_exporter()
    server.plan = ["endless"]
    names = end_spans(1)
    assert exporter.flush(30)
    names += end_spans(1, "next ")
    assert exporter.flush(30)
    assert server.names == names
    assert exporter.stats() == (2, 2, 0, 0)


def test_one_that_hangs_is_left(server: Server, make_exporter: Callable[..., Exporter]) -> None:
    exporter = make_exporter(timeout=0.05)
    server.plan = ["hang"] * 2
    end_spans(1)
    assert exporter.flush(30)
    assert exporter.stats() == (1, 0, 1, 0)
    server.may_go_on.set()
    names = end_spans(1, "next ")
    assert exporter.flush(30)
    assert server.names == names


def test_one_that_answers_for_ever_is_left_in_time(
    server: Server, make_exporter: Callable[..., Exporter]
) -> None:
    """The time limit is one of the whole attempt: each byte that comes does not begin it anew."""
    exporter = make_exporter(timeout=0.1)
    server.plan = ["drip"] * 2
    end_spans(1)
    assert exporter.flush(30)
    assert exporter.stats() == (1, 0, 1, 0)
    names = end_spans(1, "next ")
    assert exporter.flush(30)
    assert server.names == names


def test_at_a_steady_load_nothing_is_dropped(
    server: Server, make_exporter: Callable[..., Exporter]
) -> None:
    """Each answer takes as long as the application needs for 2,000 spans. Altogether they are more
    than may wait."""
    exporter = make_exporter(timeout=60)
    rounds, load = 30, 2000
    server.plan = ["hold"] * rounds
    text = "x" * 500
    for number in range(rounds):
        for place in range(load):
            Span(f"{number}-{place}", attributes={"text": text}).end()
        server.is_asked.acquire()
        server.may_take.release()
    assert exporter.flush(60)
    assert exporter.stats() == (rounds * load, rounds * load, 0, 0)
    assert server.names == [f"{n}-{p}" for n in range(rounds) for p in range(load)]
    assert len(server.names) * len(text) > exporter._config.queue_bytes


def test_what_ends_while_it_hangs_is_kept_or_counted(
    server: Server, make_exporter: Callable[..., Exporter]
) -> None:
    exporter = make_exporter(timeout=60, queue_size=50, batch_size=50)
    server.plan = ["hang"]
    end_spans(50)
    while not server.requests:
        exporter.flush(0)
    end_spans(80)
    ended, sent, dropped, waiting = exporter.stats()
    assert (ended, sent, dropped, waiting) == (130, 0, 30, 100)
    server.may_go_on.set()
    assert exporter.flush(30)
    assert exporter.stats() == (130, 100, 30, 0)
    assert len(server.names) == 100


def test_a_restarted_receiver_gets_the_rest(
    server: Server, make_exporter: Callable[..., Exporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = make_exporter()
    names = end_spans(3, "before ")
    assert exporter.flush(30)
    server.stop()
    # It is back before the exporter's next attempt but one.
    waits = 0
    wait = Sender._wait

    def restart(self: Sender, *args: Any) -> bool:
        nonlocal waits
        waits += 1
        if waits == 2:
            server.listen(server.port)
        return wait(self, *args)

    monkeypatch.setattr(Sender, "_wait", restart)
    names += end_spans(3, "meanwhile ")
    assert exporter.flush(30)
    assert server.names == names
    assert exporter.stats() == (6, 6, 0, 0)


def test_chaos_adds_up(
    server: Server, make_exporter: Callable[..., Exporter], caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(7)
    acts = ["take", "503 0", "429", "502", "400", "413", "500", "reset", "close", "garbage", "cut"]
    exporter = make_exporter(batch_size=7, queue_size=500)
    server.plan = [chance.choice(acts) for _ in range(300)]

    def work(prefix: str) -> None:
        for number in range(300):
            Span(f"{prefix}{number}", attributes={"n": number}).end()

    threads = [threading.Thread(target=work, args=(prefix,)) for prefix in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert exporter.flush(60)
    ended, sent, dropped, waiting = exporter.stats()
    assert ended == sent + dropped == 1200
    assert waiting == 0
    assert len(server.names) == len(set(server.names)) == sent
    assert sent > 0
    assert [r.levelname for r in caplog.records].count("WARNING") <= 2, "within a minute"
    server.plan.clear()
    end_spans(1, "at last ")
    assert exporter.flush(30)
    assert server.names[-1] == "at last 0"


def test_drops_for_want_of_room_are_spoken_of_once(
    server: Server, make_exporter: Callable[..., Exporter], caplog: pytest.LogCaptureFixture
) -> None:
    exporter = make_exporter(timeout=60, queue_size=5, batch_size=5)
    server.plan = ["hang"]
    end_spans(5)
    while not server.requests:
        exporter.flush(0)
    end_spans(20)
    server.may_go_on.set()
    assert exporter.flush(30)
    end_spans(20)
    assert exporter.flush(30)
    (record,) = (r for r in caplog.records if r.levelname == "WARNING")
    assert "has dropped 15 spans" in record.getMessage()

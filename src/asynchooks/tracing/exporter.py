"""Taking ended spans out of the process: bounded, in the background, never in the way."""

from __future__ import annotations

import atexit
import multiprocessing.util
import os
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

import asynchooks
from asynchooks._detached import call_detached
from asynchooks._reporting import report_once
from asynchooks.tracing.current import suppress_tracing
from asynchooks.tracing.otlp import encode_spans
from asynchooks.tracing.sender import Outcome, Sender

if TYPE_CHECKING:
    from asynchooks.tracing.config import Config
    from asynchooks.tracing.span import Span

__all__ = ("Exporter", "Stats")

# At 1 KiB a span, what waits for a dead receiver stays below 10 MiB.
CAPACITY = 8192
BATCH = 512
# How long a span waits for company, in seconds: short, since somebody watches the page.
INTERVAL = 0.2
# How long leaving the process may take, in seconds.
EXIT_TIMEOUT = 2.0


class Stats(NamedTuple):
    """What became of the spans that ended: ended = sent + dropped + waiting."""

    ended: int
    sent: int
    dropped: int
    waiting: int


class Exporter:
    """Keeps ended spans in a bounded queue that one daemon thread empties.

    `submit` is called by the application's threads and costs one put; when the queue is full the
    span is dropped and counted. The queue is a `SimpleQueue` since that may be entered again by
    the same thread: a span may end inside a finalizer, anywhere. The thread starts with the first
    span, again in a forked child, and in an empty context, so that it belongs to no request.
    """

    def __init__(self, config: Config, *, capacity: int = CAPACITY) -> None:
        self._config = config
        self._capacity = capacity
        self._sender = Sender(config)
        self._reset()
        atexit.register(self.shutdown)
        # A child of multiprocessing forgets all finalizers, and asks for them anew.
        self._register_for_process_exit()
        multiprocessing.util.register_after_fork(self, Exporter._register_for_process_exit)
        _open.add(self)

    def _reset(self) -> None:
        # An Event among the spans is set when all that came before it was dealt with.
        self._queue: SimpleQueue[Span | threading.Event] = SimpleQueue()
        self._lock = threading.RLock()  # guards _rejected and _thread
        self._rejected = 0
        self._thread: threading.Thread | None = None
        self._is_closed = False
        # The exporter's thread alone changes these.
        self._sent = 0
        self._lost = 0
        self._in_flight = 0

    def submit(self, span: Span) -> None:
        """Take a span that has ended. Any thread; never blocks, never raises."""
        if self._is_closed or self._queue.qsize() >= self._capacity:
            with self._lock:
                self._rejected += 1
            return
        self._queue.put(span)
        if self._thread is None:
            self._start()

    def stats(self) -> Stats:
        """The counters of this process."""
        waiting = self._queue.qsize() + self._in_flight
        dropped = self._rejected + self._lost
        return Stats(self._sent + dropped + waiting, self._sent, dropped, waiting)

    def flush(self, timeout: float = EXIT_TIMEOUT) -> bool:
        """Send what waits, for at most `timeout` seconds. Returns whether it was dealt with."""
        if self._thread is None:
            if self._queue.empty():
                return True
            self._start()
        done = threading.Event()
        self._queue.put(done)
        return done.wait(timeout)

    def shutdown(self) -> None:
        """Send what waits, for at most 2 seconds, and take nothing more."""
        if self._is_closed:
            return
        self.flush()
        self._is_closed = True
        self._queue.put(threading.Event())  # the thread wakes up, and ends
        if self._thread is not None:
            self._thread.join(EXIT_TIMEOUT)
        atexit.unregister(self.shutdown)
        self._at_process_exit.cancel()
        _open.discard(self)

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name="asynchooks-export", daemon=True)
            self._thread = thread
        try:
            call_detached(thread.start)
        except RuntimeError:  # the interpreter is going down, or no more threads can be had
            self._thread = None

    def _run(self) -> None:
        with suppress_tracing():
            while not self._is_closed:
                batch, done = self._take_batch()
                if batch:
                    self._send_batch(batch)
                self._in_flight = 0
                if done is not None:
                    done.set()
        self._sender.close()

    def _take_batch(self) -> tuple[list[Span], threading.Event | None]:
        """Wait for a span, then for its company: a full batch, or what comes in an interval, or
        before somebody wants to know that all was sent."""
        batch: list[Span] = []
        deadline = float("inf")
        while len(batch) < BATCH:
            try:
                if batch:
                    item = self._queue.get(timeout=max(deadline - time.monotonic(), 0))
                else:
                    item = self._queue.get()
                    deadline = time.monotonic() + INTERVAL
            except Empty:
                break
            if isinstance(item, threading.Event):
                return batch, item
            batch.append(item)
            self._in_flight += 1
        return batch, None

    def _send_batch(self, batch: list[Span]) -> None:
        outcome = Outcome.REFUSED
        try:
            body = encode_spans(batch, self._resource(), "asynchooks", asynchooks.__version__)
            outcome = self._sender.send(body, give_up=lambda: self._is_closed)
        except Exception:
            report_once("tracing.encode", "asynchooks could not encode a span", exc_info=True)
        if outcome is Outcome.SENT:
            self._sent += len(batch)
        else:
            self._lost += len(batch)

    def _resource(self) -> dict[str, str | int]:
        return {
            "service.name": self._config.service_name,
            "telemetry.sdk.name": "asynchooks",
            "telemetry.sdk.language": "python",
            "telemetry.sdk.version": asynchooks.__version__,
            **self._config.resource_attributes,
            "process.pid": os.getpid(),
            "asynchooks.dropped_spans": self.stats().dropped,
        }

    def start_over(self) -> None:
        """In a forked child: the queue is the parent's to send, its thread does not exist here."""
        self._reset()
        self._sender.close()

    def _register_for_process_exit(self) -> None:
        # A forked multiprocessing child leaves by os._exit, past atexit.
        self._at_process_exit = multiprocessing.util.Finalize(self, self.shutdown, exitpriority=0)


_open: set[Exporter] = set()


def _after_fork_in_child() -> None:
    for exporter in _open:
        exporter.start_over()


os.register_at_fork(after_in_child=_after_fork_in_child)

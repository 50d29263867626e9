"""Taking what was recorded out of the process: bounded, in the background, never in the way."""

from __future__ import annotations

import atexit
import multiprocessing.util
import os
import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

import asynchooks
from asynchooks import _native
from asynchooks._reporting import Reminder, report_once
from asynchooks.tracing.current import suppress_tracing
from asynchooks.tracing.flag import Flag

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynchooks.tracing.config import Config
    from asynchooks.tracing.export_config import ExportConfig

__all__ = ("Destination", "Exporter", "Stats")

# How long leaving the process may take, in seconds.
EXIT_TIMEOUT = 2.0
# So many records do not wait for further ones; fewer where a quarter of what may wait is. Each
# time the exporter's thread takes the GIL, the application waits: 512 at a time cost a busy server
# 2 % of its throughput more.
WAKE_AT = 2048
WAKE_AT_LEAST = 512


class Stats(NamedTuple):
    """What became of the records that ended: ended = sent + dropped + waiting."""

    ended: int
    sent: int
    dropped: int
    waiting: int


class Destination(Protocol):
    """Where batches go. Used by the exporter's thread alone."""

    def send(self, body: bytes, count: int, give_up: Callable[[], bool]) -> int:
        """Send `body`, a request of OTLP with `count` records. Returns how many of them arrived;
        once `give_up()` is true, it no longer waits to try again. Never raises."""

    def close(self) -> None:
        """Let go of what is held, and in a forked child of what the parent holds."""


class Exporter:
    """Has the core encode every span that ends, or every log record, into a bounded buffer, which
    one daemon thread empties.

    What the application's threads do is encode and copy; where there is no room, the record is
    dropped and counted. The thread starts with the first record, again in a forked child, and in
    an empty context, so that it belongs to no request. One exporter of a signal is in force at a
    time. Each has a thread of its own: a receiver that is gone holds up no other signal.
    """

    def __init__(
        self, config: Config, destination: Destination, export: ExportConfig | None = None
    ) -> None:
        """Export what `export` says, by default spans."""
        self._config = config
        self._export = export = export or config
        self._signal = export.signal
        self._destination = destination
        self._buffer = _native.ExportBuffer(
            start=self._start,
            scope=_native.encode_scope("asynchooks", asynchooks.__version__),
            capacity=export.queue_size,
            byte_limit=export.queue_bytes,
            batch=export.batch_size,
            wake_at=min(WAKE_AT, max(export.queue_size // 4, WAKE_AT_LEAST)),
        )
        self._reset()
        self._signal.set_buffer(self._buffer)
        atexit.register(self.shutdown)
        # A child of multiprocessing forgets all finalizers, and asks for them anew.
        self._register_for_process_exit()
        multiprocessing.util.register_after_fork(self, Exporter._register_for_process_exit)
        _open.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()  # guards _has_thread
        self._has_thread = False
        self._has_ended = Flag()  # the thread
        # Set when all that ended before they came was dealt with.
        self._flushes: list[Flag] = []
        self._is_closed = False
        self._has_delivered = False  # before the process dies
        # The exporter's thread alone changes these.
        self._refused = 0
        self._reported = 0
        self._reminder = Reminder()

    def stats(self) -> Stats:
        """The counters of this process."""
        return Stats(*self._buffer.stats())

    def flush(self, timeout: float = EXIT_TIMEOUT) -> bool:
        """Send what waits, for at most `timeout` seconds. Returns whether it was dealt with."""
        return self.start_flush().wait(timeout)

    def start_flush(self) -> Flag:
        """Send what waits. Returns what is set when it was dealt with."""
        done = Flag()
        if self.stats().waiting == 0:
            done.set()
            return done
        if not self._has_thread:
            self._start()
        self._flushes.append(done)
        self._buffer.wake()
        return done

    def shutdown(self) -> None:
        """Send what waits, for at most 2 seconds, and take nothing more."""
        if self._is_closed:
            return
        self.flush()
        self._is_closed = True
        self._buffer.wake()  # the thread wakes up, and ends
        if self._has_thread:
            self._has_ended.wait(EXIT_TIMEOUT)
        self._buffer.close()
        atexit.unregister(self.shutdown)
        self._at_process_exit.cancel()
        _open.discard(self)
        if not _open:
            _native.release_termination()

    def _start(self) -> None:
        with self._lock:
            if self._has_thread or self._is_closed:
                return
            self._has_thread = True
        _native.guard_termination()
        try:
            _native.start_export_thread(self._run)
        except RuntimeError:  # the interpreter is going down, or no more threads can be had
            self._has_thread = False
            self._buffer.unattend()

    def _run(self) -> None:
        with suppress_tracing():
            while not self._is_closed:
                self._buffer.wait(self._export.interval)
                is_terminating = _native.is_terminating()
                flushes, self._flushes = self._flushes, []
                self._send_what_waits()
                self._report_drops()
                for done in flushes:
                    done.set()
                if is_terminating:
                    self._has_delivered = True
                    if not any(other._is_delivering() for other in tuple(_open)):
                        _native.mark_delivered()
        self._destination.close()
        self._has_ended.set()

    def _is_delivering(self) -> bool:
        return self._has_thread and not self._has_delivered

    def _send_what_waits(self) -> None:
        """And not what comes meanwhile, or nobody who asked would hear of the end of it."""
        left = self.stats().waiting
        while left > 0:
            taken = self._buffer.take(self._resource())
            if taken is None:
                return
            count, body = taken
            sent = 0
            try:
                sent = self._destination.send(body, count, lambda: self._is_closed)
            except Exception:
                report_once(
                    f"tracing.export.{self._signal.name}",
                    "asynchooks could not export %s",
                    self._signal.records,
                    exc_info=True,
                )
            self._buffer.settle(sent, count - sent)
            self._refused += count - sent
            left -= count

    def _report_drops(self) -> None:
        """What the destination refuses it speaks of itself."""
        overflow = self.stats().dropped - self._refused
        if overflow > self._reported and self._reminder.say(
            "asynchooks has dropped %d %s since its start: more came than could be sent. "
            "Record fewer, or set OTEL_%s_MAX_QUEUE_SIZE",
            overflow,
            self._signal.records,
            self._signal.queue,
        ):
            self._reported = overflow

    def _resource(self) -> bytes:
        return _native.encode_resource(
            {
                "service.name": self._config.service_name,
                "telemetry.sdk.name": "asynchooks",
                "telemetry.sdk.language": "python",
                "telemetry.sdk.version": asynchooks.__version__,
                **self._config.resource_attributes,
                "process.pid": os.getpid(),
                **{e._signal.count_of_dropped: e.stats().dropped for e in (*_open, self)},
            }
        )

    def start_over(self) -> None:
        """In a forked child: the parent's thread does not exist here. What the buffer holds is
        the parent's to send, which the buffer knows by itself."""
        self._reset()
        self._destination.close()

    def _register_for_process_exit(self) -> None:
        # A forked multiprocessing child leaves by os._exit, past atexit.
        self._at_process_exit = multiprocessing.util.Finalize(self, self.shutdown, exitpriority=0)


_open: set[Exporter] = set()


def _after_fork_in_child() -> None:
    for exporter in _open:
        exporter.start_over()


os.register_at_fork(after_in_child=_after_fork_in_child)

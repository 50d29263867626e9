"""Writing spans, or log records, to a file: one OTLP/JSON request a line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from asynchooks import _native
from asynchooks._reporting import Reminder
from asynchooks.tracing.signals import TRACES

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynchooks.tracing.signals import Signal

__all__ = ("FileWriter",)


class FileWriter:
    """Appends to one file, which processes may share: a line is one write. Where the disk is full,
    or the file cannot be opened, the batch is lost, and the next one is tried anew."""

    def __init__(self, path: str, signal: Signal = TRACES) -> None:
        self._path = path
        self._signal = signal
        self._file: int | None = None
        self._is_torn = False  # the last line is not whole
        self._reminder = Reminder()

    def send(self, body: bytes, count: int, give_up: Callable[[], bool]) -> int:
        """Append `body`. Returns `count`, or 0 where that failed."""
        try:
            self._write(_native.request_as_json(body, self._signal.name) + b"\n")
        except OSError as exc:
            self.close()
            self._reminder.say(
                "asynchooks cannot write %s to %s (%s); they are dropped and counted until it "
                "can. Make room, or set ASYNCHOOKS_%s_FILE",
                self._signal.records,
                self._path,
                exc,
                self._signal.name.upper(),
            )
            return 0
        return count

    def close(self) -> None:
        """Close the file. It is opened again when there is something to write."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, line: bytes) -> None:
        if self._file is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._file = os.open(self._path, flags, 0o644)
        if self._is_torn:
            line = b"\n" + line
        rest = memoryview(line)
        while rest:
            written = os.write(self._file, rest)
            self._is_torn = written < len(rest)
            rest = rest[written:]

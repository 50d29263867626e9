"""Posting OTLP over HTTP, and what to do when nobody takes it."""

from __future__ import annotations

import email.utils
import gzip
import http.client
import random
import threading
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from asynchooks._reporting import Reminder, logger
from asynchooks.tracing.otlp import read_partial_success, split_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynchooks.tracing.export_config import ExportConfig

__all__ = ("Sender",)

# The OTLP specification: these answers mean "later", all others "never".
_RETRYABLE = frozenset((429, 502, 503, 504))
_TOO_LARGE = 413
_MAXIMUM_ATTEMPTS = 5
_FIRST_BACKOFF = 0.25  # seconds, doubled at each attempt
_MAXIMUM_BACKOFF = 5.0
_MAXIMUM_RETRY_AFTER = 30.0
_MAXIMUM_ANSWER = 64 * 1024
# Our own generator: the application may have seeded the shared one.
_jitter = random.Random()  # noqa: S311 -- a pause is no secret


class _Answer(NamedTuple):
    status: int
    reason: str
    retry_after: float | None  # seconds
    body: bytes


class Sender:
    """Posts batches over one kept connection. Used by the exporter's thread alone."""

    def __init__(self, config: ExportConfig) -> None:
        self._config = config
        self._connection: http.client.HTTPConnection | None = None
        self._has_answered = False
        self._is_failing = False
        self._reminder = Reminder()
        self._pause = threading.Event()

    def close(self) -> None:
        """Let the connection go. In a forked child, this leaves the parent's as it is."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def send(self, body: bytes, count: int, give_up: Callable[[], bool]) -> int:
        """Post `body`, of `count` records; in two halves, where it is too large for the receiver.
        Returns how many were taken. Blocks for at most about `timeout` seconds an attempt;
        `give_up` ends the waiting in between."""
        answer = self._post_until_answered(body, give_up)
        if answer is None:
            return 0
        if answer.status == _TOO_LARGE:
            halves = split_request(body)
            if halves:
                return sum(self.send(half, number, give_up) for number, half in halves)
        if not 200 <= answer.status < 300:
            self._report_failure(f"HTTP {answer.status} {answer.reason}")
            return 0
        rejected, message = read_partial_success(answer.body)
        if rejected > 0:
            self._report_failure(f"it rejected {rejected} {self._config.signal.records}: {message}")
            return max(count - rejected, 0)
        self._report_recovery()
        return count

    def _post_until_answered(self, body: bytes, give_up: Callable[[], bool]) -> _Answer | None:
        """The receiver's last word, or None where it has none."""
        if self._config.compression == "gzip":
            body = gzip.compress(body, compresslevel=1)
        answer = None
        trouble = ""
        for attempt in range(_MAXIMUM_ATTEMPTS):
            try:
                answer = self._post(body)
            except (OSError, http.client.HTTPException, ValueError) as exc:
                self.close()
                answer = None
                trouble = f"{type(exc).__name__}: {exc}"
                # A connection that was kept may have been closed by the receiver meanwhile: one
                # more attempt at once. One that was never there is not waited for.
                if attempt == 0:
                    continue
                if not self._has_answered:
                    break
            else:
                self._has_answered = True
                if answer.status not in _RETRYABLE:
                    break
            if attempt + 1 < _MAXIMUM_ATTEMPTS and not self._wait(attempt, answer, give_up):
                break
        if answer is None:
            self._report_failure(trouble)
        return answer

    def _post(self, body: bytes) -> _Answer:
        assert self._config.endpoint is not None
        parts = urlsplit(self._config.endpoint)
        connection = self._connection
        if connection is None:
            kind = (
                http.client.HTTPSConnection
                if parts.scheme == "https"
                else http.client.HTTPConnection
            )
            connection = kind(parts.hostname or "", parts.port, timeout=self._config.timeout)
            self._connection = connection
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Content-Type": "application/x-protobuf", "User-Agent": "asynchooks"}
        if self._config.compression == "gzip":
            headers["Content-Encoding"] = "gzip"
        connection.request("POST", target, body, {**headers, **self._config.headers})
        response = connection.getresponse()
        content = response.read(_MAXIMUM_ANSWER)
        if not response.isclosed():  # a longer answer is not for us
            self.close()
        retry_after = _seconds(response.headers.get("Retry-After"))
        return _Answer(response.status, response.reason, retry_after, content)

    def _wait(self, attempt: int, answer: _Answer | None, give_up: Callable[[], bool]) -> bool:
        """Wait for as long as the receiver asks, or ever longer. Returns whether to go on."""
        seconds = min(_FIRST_BACKOFF * 2**attempt, _MAXIMUM_BACKOFF) * _jitter.uniform(0.8, 1.2)
        if answer is not None and answer.retry_after is not None:
            seconds = min(answer.retry_after, _MAXIMUM_RETRY_AFTER)
        deadline = time.monotonic() + seconds
        while not give_up():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return True
            self._pause.wait(min(remaining, 0.1))
        return False

    def _report_failure(self, trouble: str) -> None:
        self._is_failing = True
        self._reminder.say(
            "asynchooks cannot export to %s (%s); %s are dropped and counted until it answers. "
            "Start `asynchooks view`, or set OTEL_EXPORTER_OTLP_ENDPOINT",
            self._config.endpoint,
            trouble,
            self._config.signal.records,
        )

    def _report_recovery(self) -> None:
        if self._is_failing:
            self._is_failing = False
            logger.info("asynchooks exports to %s again", self._config.endpoint)


def _seconds(retry_after: str | None) -> float | None:
    """What the header says, in either of its forms; None of what is none of them."""
    if retry_after is None:
        return None
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        moment = email.utils.parsedate_to_datetime(retry_after)
        return max(moment.timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None

"""Posting OTLP over HTTP, and what to do when nobody takes it."""

from __future__ import annotations

import random
import time
import zlib
from functools import partial
from typing import TYPE_CHECKING

from asynchooks._reporting import Reminder, logger
from asynchooks.tracing.connection import Connection
from asynchooks.tracing.flag import Flag
from asynchooks.tracing.otlp import read_partial_success, split_request
from asynchooks.tracing.tls import make_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynchooks.tracing.answer import Answer
    from asynchooks.tracing.export_config import ExportConfig

__all__ = ("Sender",)

# The OTLP specification: these answers mean "later", all others "never".
_RETRYABLE = frozenset((429, 502, 503, 504))
_TOO_LARGE = 413
_MAXIMUM_ATTEMPTS = 5
_FIRST_BACKOFF = 0.25  # seconds, doubled at each attempt
_MAXIMUM_BACKOFF = 5.0
_MAXIMUM_RETRY_AFTER = 30.0
_GZIP = 16 + zlib.MAX_WBITS
# Our own generator: the application may have seeded the shared one.
_jitter = random.Random()  # noqa: S311 -- a pause is no secret


class Sender:
    """Posts batches over one kept connection. Used by the exporter's thread alone."""

    def __init__(self, config: ExportConfig) -> None:
        self._config = config
        assert config.endpoint is not None
        self._connection = Connection(
            config.endpoint,
            _headers(config),
            config.timeout,
            partial(make_context, config.certificate, config.client_certificate, config.client_key),
        )
        self._has_answered = False
        self._is_failing = False
        self._reminder = Reminder()
        self._pause = Flag()  # never set

    def close(self) -> None:
        """Let the connection go. In a forked child, this leaves the parent's as it is."""
        self._connection.close()

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

    def _post_until_answered(self, body: bytes, give_up: Callable[[], bool]) -> Answer | None:
        """The receiver's last word, or None where it has none."""
        if self._config.compression == "gzip":
            body = zlib.compress(body, 1, _GZIP)
        answer = None
        trouble = ""
        for attempt in range(_MAXIMUM_ATTEMPTS):
            try:
                answer = self._connection.post(body)
            except (OSError, ValueError) as exc:
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

    def _wait(self, attempt: int, answer: Answer | None, give_up: Callable[[], bool]) -> bool:
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


def _headers(config: ExportConfig) -> dict[str, str]:
    """Those of each request. What the environment says goes before ours."""
    headers = {"user-agent": "asynchooks", "content-type": "application/x-protobuf"}
    if config.compression == "gzip":
        headers["content-encoding"] = "gzip"
    return headers | {name.lower(): value for name, value in config.headers.items()}

"""Posting OTLP over HTTP, and what to do when nobody takes it."""

from __future__ import annotations

import gzip
import http.client
import random
import threading
import time
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asynchooks._reporting import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynchooks.tracing.config import Config

__all__ = ("Outcome", "Sender")

# The OTLP specification: these answers mean "later", all others "never".
_RETRYABLE = frozenset((429, 502, 503, 504))
_MAXIMUM_ATTEMPTS = 4
_FIRST_BACKOFF = 0.25  # seconds, doubled at each attempt
_MAXIMUM_BACKOFF = 5.0
_WARNING_INTERVAL = 60.0
# Our own generator: the application may have seeded the shared one.
_jitter = random.Random()  # noqa: S311 -- a pause is no secret


class Outcome(Enum):
    """What became of a batch."""

    SENT = "sent"
    REFUSED = "refused"


class Sender:
    """Posts batches over one kept connection. Used by the exporter's thread alone."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._connection: http.client.HTTPConnection | None = None
        self._is_failing = False
        self._warned_at = float("-inf")
        self._pause = threading.Event()

    def close(self) -> None:
        """Let the connection go. In a forked child, this leaves the parent's as it is."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def send(self, body: bytes, *, give_up: Callable[[], bool]) -> Outcome:
        """Post `body`, with retries where the receiver asks for them. Blocks for at most about
        `timeout` seconds an attempt; `give_up` ends the waiting in between."""
        if self._config.endpoint is None:
            return Outcome.REFUSED
        if self._config.compression == "gzip":
            body = gzip.compress(body, compresslevel=1)
        trouble = ""
        for attempt in range(_MAXIMUM_ATTEMPTS):
            try:
                status, reason, retry_after = self._post(body)
            except (OSError, http.client.HTTPException) as exc:
                self.close()
                trouble = f"{type(exc).__name__}: {exc}"
                # A connection that was kept may have been closed by the receiver meanwhile: one
                # more attempt at once. A receiver that is not there is not waited for.
                if attempt == 0:
                    continue
                break
            if 200 <= status < 300:
                self._report_recovery()
                return Outcome.SENT
            trouble = f"HTTP {status} {reason}"
            if status not in _RETRYABLE or attempt + 1 == _MAXIMUM_ATTEMPTS:
                break
            delay = min(_FIRST_BACKOFF * 2**attempt, _MAXIMUM_BACKOFF)
            if not self._wait(retry_after or delay * _jitter.uniform(0.8, 1.2), give_up):
                break
        self._report_failure(trouble)
        return Outcome.REFUSED

    def _post(self, body: bytes) -> tuple[int, str, float | None]:
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
        headers = {
            "Content-Type": "application/x-protobuf",
            "User-Agent": "asynchooks",
            **self._config.headers,
        }
        if self._config.compression == "gzip":
            headers["Content-Encoding"] = "gzip"
        connection.request("POST", target, body, headers)
        response = connection.getresponse()
        response.read(64 * 1024)
        if not response.isclosed():  # a longer answer is not for us
            self.close()
        return response.status, response.reason, _seconds(response.headers.get("Retry-After"))

    def _wait(self, seconds: float, give_up: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + min(seconds, 30.0)
        while not give_up():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return True
            self._pause.wait(min(remaining, 0.1))
        return False

    def _report_failure(self, trouble: str) -> None:
        now = time.monotonic()
        self._is_failing = True
        if now - self._warned_at >= _WARNING_INTERVAL:
            self._warned_at = now
            logger.warning(
                "asynchooks cannot export to %s (%s); spans are dropped and counted until it "
                "answers. Start `asynchooks view`, or set OTEL_EXPORTER_OTLP_ENDPOINT",
                self._config.endpoint,
                trouble,
            )

    def _report_recovery(self) -> None:
        if self._is_failing:
            self._is_failing = False
            self._warned_at = float("-inf")
            logger.info("asynchooks exports to %s again", self._config.endpoint)


def _seconds(retry_after: str | None) -> float | None:
    """The header's form in seconds; a date is treated as if it were not there."""
    return float(retry_after) if retry_after is not None and retry_after.isdigit() else None

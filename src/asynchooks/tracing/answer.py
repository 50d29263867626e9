"""Reading the answer to a POST over HTTP/1.1.

`http.client` reads more than there is to know here: measured in a thread that has slept, it takes
0.3 ms for each batch, under the GIL; this takes a tenth of that.
"""

from __future__ import annotations

import email.utils
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Answer", "read_answer")

# Of a head, or a body. What a receiver says of a batch has some hundred bytes.
_MAXIMUM_SIZE = 64 * 1024
_NO_CONTENT = frozenset((204, 304))


class Answer(NamedTuple):
    """What a receiver has said.

    Attributes:
        retry_after: how long to wait before the next attempt, in seconds; None: it does not say.
        body: its beginning, where it is long or does not come whole.
        is_last: nothing can be asked over this connection any more.
    """

    status: int
    reason: str
    retry_after: float | None
    body: bytes
    is_last: bool


def read_answer(received: bytes, receive: Callable[[], bytes]) -> Answer:
    """Read one answer.

    Args:
        received: what has come of it.
        receive: gives what comes next, b"" at its end, or raises OSError.

    Raises OSError where no whole head comes, ValueError of what is no HTTP.
    """
    incoming = _Incoming(received, receive)
    head = _read_head(incoming)
    while 100 <= head.status < 200:  # it says that it will answer
        head = _read_head(incoming)
    body, is_whole = _read_body(head, incoming)
    closes = head.version != "HTTP/1.1" or "close" in head.headers.get("connection", "").lower()
    retry_after = _seconds(head.headers.get("retry-after"))
    return Answer(head.status, head.reason, retry_after, body, closes or not is_whole)


class _Incoming:
    """Bytes as they come. ConnectionResetError where no more do."""

    def __init__(self, received: bytes, receive: Callable[[], bytes]) -> None:
        self._received = received
        self._receive = receive

    def _read_on(self) -> None:
        part = self._receive()
        if not part:
            raise ConnectionResetError("the receiver has closed the connection")
        self._received += part

    def until(self, end: bytes) -> bytes:
        """What stands before the next `end`."""
        while (place := self._received.find(end)) < 0:
            if len(self._received) > _MAXIMUM_SIZE:
                raise ValueError(f"the answer's head is longer than {_MAXIMUM_SIZE} bytes")
            self._read_on()
        return self._take(place, len(end))

    def some(self) -> bytes:
        if not self._received:
            self._read_on()
        return self._take(len(self._received), 0)

    def exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            self._read_on()
        return self._take(size, 0)

    def _take(self, size: int, left_out: int) -> bytes:
        taken = self._received[:size]
        self._received = self._received[size + left_out :]
        return taken


class _Head(NamedTuple):
    version: str
    status: int
    reason: str
    headers: dict[str, str]  # by their names in lower case


def _read_head(incoming: _Incoming) -> _Head:
    start, *lines = incoming.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
    version, _, rest = start.partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not code.isdecimal():
        raise ValueError(f"the answer begins with {start[:80]!r}, expected HTTP/1.1")
    fields = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    return _Head(version, int(code), reason, headers)


def _read_body(head: _Head, incoming: _Incoming) -> tuple[bytes, bool]:
    """The body, and whether it is whole. Where it breaks off, the head has said what counts."""
    parts: list[bytes] = []
    try:
        if head.status in _NO_CONTENT:
            is_whole = True
        elif "chunked" in head.headers.get("transfer-encoding", "").lower():
            is_whole = _read_chunks(incoming, parts)
        elif "content-length" in head.headers:
            size = int(head.headers["content-length"])
            parts.append(incoming.exactly(min(size, _MAXIMUM_SIZE)))
            is_whole = size <= _MAXIMUM_SIZE
        else:  # it ends with the connection
            is_whole = False
            while sum(map(len, parts)) < _MAXIMUM_SIZE:
                parts.append(incoming.some())
    except (OSError, ValueError):
        is_whole = False
    return b"".join(parts), is_whole


def _read_chunks(incoming: _Incoming, parts: list[bytes]) -> bool:
    """Add the chunks of a body to `parts`. Returns whether all have come."""
    while size := int(incoming.until(b"\r\n").partition(b";")[0], 16):
        if size + sum(map(len, parts)) > _MAXIMUM_SIZE:
            return False
        parts.append(incoming.exactly(size))
        incoming.until(b"\r\n")
    while incoming.until(b"\r\n"):
        pass  # trailers
    return True


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

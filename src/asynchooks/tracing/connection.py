"""One kept HTTP/1.1 connection, over which batches are posted.

Under load the application's threads have the GIL nearly all the time, and the exporter's thread
waits for it each time that it has let go of it. So it lets go once for a batch: the core sends the
request and waits for what comes first of the answer, which as a rule is all of it.
"""

from __future__ import annotations

import _socket  # what gevent and eventlet do not replace: we have a thread, which they know not of
import ssl
import time
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from asynchooks import _native
from asynchooks.tracing.answer import read_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asynchooks.tracing.answer import Answer

    T = TypeVar("T")

__all__ = ("Connection",)

_PORTS = {"http": 80, "https": 443}
_PART = 16 * 1024  # what is decrypted at once


class Connection:
    """A connection to the server of one URL: made when it is needed, kept while it may be. For one
    thread.

    Args:
        url: where requests are posted.
        headers: of each request.
        timeout: of one request, from connecting to the end of its answer, in seconds. Only looking
            up a name takes as long as the system gives it.
        make_context: what TLS is spoken with, for `https`; asked at each new connection, since
            certificates are renewed.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        timeout: float,
        make_context: Callable[[], ssl.SSLContext],
    ) -> None:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
        lines += (f"{name}: {value}" for name, value in headers.items())
        self._head = "".join(" ".join(line.splitlines()) + "\r\n" for line in lines).encode()
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._timeout = timeout
        self._make_context = make_context if parts.scheme == "https" else None
        self._wire: _Plain | _Encrypted | None = None

    def close(self) -> None:
        """Let the connection go. In a forked child, this leaves the parent's as it is."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def post(self, body: bytes) -> Answer:
        """Raises OSError, of which TimeoutError after `timeout` seconds, and ValueError of what is
        no answer. The connection is closed then."""
        try:
            answer = self._post(body, time.monotonic() + self._timeout)
        except BaseException:
            self.close()
            raise
        if answer.is_last:
            self.close()
        return answer

    def _post(self, body: bytes, deadline: float) -> Answer:
        wire = self._wire = self._wire or self._connect(deadline)
        head = b"%sContent-Length: %d\r\n\r\n" % (self._head, len(body))
        received = wire.exchange(head, body, deadline)
        return read_answer(received, lambda: wire.exchange(b"", b"", deadline))

    def _connect(self, deadline: float) -> _Plain | _Encrypted:
        """To the first address that answers."""
        trouble = OSError(f"no address of {self._host} is known")
        host = self._host.encode("ascii" if self._host.isascii() else "idna")
        addresses = _socket.getaddrinfo(host, self._port, 0, _socket.SOCK_STREAM)
        for family, kind, protocol, _, address in addresses:
            connection = _socket.socket(family, kind, protocol)
            try:
                connection.settimeout(_left(deadline))
                connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
                connection.connect(address)
                wire = _Plain(connection)
                if self._make_context is None:
                    return wire
                return _Encrypted(wire, self._make_context(), self._host, deadline)
            except OSError as exc:
                connection.close()
                trouble = exc
        raise trouble


class _Plain:
    """A socket. It does not block, since it has a timeout."""

    def __init__(self, connection: _socket.socket) -> None:
        self._socket = connection

    def exchange(self, head: bytes, body: bytes, deadline: float) -> bytes:
        """Send both, and return what comes then; b"" where the other side has closed."""
        return _native.exchange(self._socket.fileno(), head, body, _left(deadline))

    def close(self) -> None:
        self._socket.close()


class _Encrypted:
    """The same, in TLS, which is spoken in memory."""

    def __init__(self, wire: _Plain, context: ssl.SSLContext, host: str, deadline: float) -> None:
        self._wire = wire
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._until_done(self._tls.do_handshake, deadline)

    def exchange(self, head: bytes, body: bytes, deadline: float) -> bytes:
        if head or body:
            self._tls.write(head + body)
        try:
            return self._until_done(lambda: self._tls.read(_PART), deadline)
        except ssl.SSLZeroReturnError:
            return b""

    def _until_done(self, step: Callable[[], T], deadline: float) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                received = self._wire.exchange(self._outgoing.read(), b"", deadline)
            if received:
                self._incoming.write(received)
            else:
                self._incoming.write_eof()

    def close(self) -> None:
        self._wire.close()


def _left(deadline: float) -> float:
    """How many seconds there are left; TimeoutError of none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("timed out")
    return seconds

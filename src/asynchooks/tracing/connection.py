"""One kept HTTP/1.1 connection, over which batches are posted.

Under load the application's threads have the GIL nearly all the time, and the exporter's thread
waits for it each time that it has let go of it. So it lets go once for a batch: the core sends the
request and waits for what comes first of the answer, which as a rule is all of it.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asynchooks import _native
from asynchooks.tracing.answer import read_answer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from asynchooks.tracing.answer import Answer

__all__ = ("Connection",)

_PORTS = {"http": 80, "https": 443}
_PART = 8 * 1024  # of an answer that comes in several


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
        self._socket: socket.socket | None = None

    def close(self) -> None:
        """Let the connection go. In a forked child, this leaves the parent's as it is."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

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
        connection = self._socket = self._socket or self._connect(deadline)
        head = b"%sContent-Length: %d\r\n\r\n" % (self._head, len(body))

        def receive() -> bytes:
            connection.settimeout(_left(deadline))
            return connection.recv(_PART)

        if self._make_context is None:
            received = _native.exchange(connection.fileno(), head, body, _left(deadline))
        else:
            connection.settimeout(_left(deadline))
            connection.sendall(head + body)
            received = receive()
        return read_answer(received, receive)

    def _connect(self, deadline: float) -> socket.socket:
        trouble = OSError(f"no address of {self._host} is known")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM
        ):
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(_left(deadline))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.connect(address)
                if self._make_context is None:
                    return connection
                connection.settimeout(_left(deadline))
                return self._make_context().wrap_socket(connection, server_hostname=self._host)
            except OSError as exc:
                connection.close()
                trouble = exc
        raise trouble


def _left(deadline: float) -> float:
    """How many seconds there are left; TimeoutError of none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("timed out")
    return seconds

"""What the core does with a socket while it has let go of the GIL."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from asynchooks import _native

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = 8 << 20  # more than a socket takes at once


Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(1)  # does not block
        yield ours, theirs


def test_what_comes_first_is_returned(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"answer")
    assert _native.exchange(ours.fileno(), b"head ", b"body", 10) == b"answer"
    assert theirs.recv(100) == b"head body"


def test_a_large_body_goes_in_parts(pair: Pair) -> None:
    ours, theirs = pair
    received = []

    def answer() -> None:
        with theirs.makefile("rb") as stream:
            received.append(stream.read(5 + LARGE))
        theirs.sendall(b"y" * 20_000)

    thread = threading.Thread(target=answer)
    thread.start()
    body = bytes(range(256)) * (LARGE // 256)
    part = _native.exchange(ours.fileno(), b"head ", body, 60)
    thread.join()
    assert received == [b"head " + body]
    assert 0 < len(part) <= 8192
    assert set(part) == {ord("y")}


def test_a_closed_side_is_told(pair: Pair) -> None:
    ours, theirs = pair
    theirs.shutdown(socket.SHUT_WR)
    assert _native.exchange(ours.fileno(), b"head", b"", 10) == b""
    theirs.close()
    with pytest.raises(BrokenPipeError):
        _native.exchange(ours.fileno(), b"head", b"", 10)


@pytest.mark.parametrize("body", [b"", b"x" * LARGE], ids=["no answer", "not read"])
@pytest.mark.parametrize("seconds", [0.01, 0.0, -1.0])
def test_time_runs_out(pair: Pair, body: bytes, seconds: float) -> None:
    ours, _ = pair
    with pytest.raises(TimeoutError):
        _native.exchange(ours.fileno(), b"head", body, seconds)


def test_what_is_no_socket_is_told() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        _native.exchange(-1, b"head", b"body", 1)


def test_other_threads_run_meanwhile(pair: Pair) -> None:
    ours, theirs = pair

    def answer() -> None:
        assert theirs.recv(100) == b"head"
        theirs.sendall(b"answer")

    thread = threading.Thread(target=answer)
    thread.start()
    assert _native.exchange(ours.fileno(), b"head", b"", 60) == b"answer"
    thread.join()

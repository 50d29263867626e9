"""Answers of HTTP, in whichever parts they come, whole or not."""

from __future__ import annotations

from email.utils import formatdate
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynchooks.tracing.answer import Answer, read_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ANSWERS = {
    "of a length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        Answer(200, "OK", None, b"hello", False),
    ),
    "empty": (b"HTTP/1.1 202 \r\ncontent-length:0\r\n\r\n", Answer(202, "", None, b"", False)),
    "without a reason": (
        b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
        Answer(200, "", None, b"", False),
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", Answer(204, "No Content", None, b"", False)),
    "chunked": (
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
            b"3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX: trailer\r\n\r\n"
        ),
        Answer(200, "OK", None, b"hello", False),
    ),
    "informed first": (
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: <a>\r\n\r\n"
            b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"
        ),
        Answer(503, "Busy", 7.0, b"", False),
    ),
    "until the end": (b"HTTP/1.1 200 OK\r\n\r\nhello", Answer(200, "OK", None, b"hello", True)),
    "the last": (
        b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n",
        Answer(200, "OK", None, b"", True),
    ),
    "of HTTP/1.0": (
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nyo",
        Answer(200, "OK", None, b"yo", True),
    ),
    "cut": (
        b"HTTP/1.1 400 Bad\r\nContent-Length: 10\r\n\r\nhel",
        Answer(400, "Bad", None, b"", True),
    ),
    "cut in a chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n9\r\nlo",
        Answer(200, "OK", None, b"hel", True),
    ),
    "of no length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: long\r\n\r\nhello",
        Answer(200, "OK", None, b"", True),
    ),
}


def giving(parts: Iterable[bytes]) -> Callable[[], bytes]:
    rest = iter(parts)
    return lambda: next(rest, b"")


@pytest.mark.parametrize("kind", ANSWERS)
def test_in_one_part_or_byte_by_byte(kind: str) -> None:
    content, expected = ANSWERS[kind]
    assert read_answer(content, giving([])) == expected
    assert read_answer(b"", giving([content[i : i + 1] for i in range(len(content))])) == expected


@given(st.sampled_from(sorted(ANSWERS)), st.lists(st.integers(0, 200)))
def test_in_any_parts(kind: str, cuts: list[int]) -> None:
    content, expected = ANSWERS[kind]
    places = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    parts = [content[start:end] for start, end in pairwise(places)]
    assert read_answer(parts[0], giving(parts[1:])) == expected


@pytest.mark.parametrize("length", [65_536, 65_537, 10_000_000])
def test_of_a_long_one_the_beginning_is_read(length: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length
    answer = read_answer(head, giving([b"x" * 8192] * 9))
    assert answer.body == b"x" * 65_536
    assert answer.is_last == (length > 65_536)


def test_of_endless_chunks_the_beginning_is_read() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = read_answer(head, giving([b"1000\r\n" + b"x" * 4096 + b"\r\n"] * 100))
    assert (answer.status, answer.is_last, len(answer.body)) == (200, True, 65_536)


@pytest.mark.parametrize(
    "content",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000,
    ],
)
def test_what_is_no_http_is_said(content: bytes) -> None:
    with pytest.raises(ValueError, match="the answer"):
        read_answer(content, giving([]))


@pytest.mark.parametrize("content", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"])
def test_without_a_whole_head_there_is_no_answer(content: bytes) -> None:
    with pytest.raises(ConnectionResetError):
        read_answer(content, giving([]))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("120", 120.0), (formatdate(0, usegmt=True), 0.0), ("soon", None), ("-1", None)],
)
def test_when_to_come_back(text: str, seconds: float | None) -> None:
    content = f"HTTP/1.1 503 Busy\r\nRetry-After: {text}\r\nContent-Length: 0\r\n\r\n".encode()
    assert read_answer(content, giving([])).retry_after == seconds

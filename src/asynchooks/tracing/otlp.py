"""What an OTLP sender does with messages, besides sending them. The core writes them.

A protobuf message is a row of fields; one that is a message, a string or bytes has its length
before it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("read_partial_success", "split_request")

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _Field(NamedTuple):
    """One field of a message: its number, what it holds, and where in the bytes it stands."""

    number: int
    value: Any  # int; or memoryview of what has a length
    start: int
    end: int


def _read_fields(message: memoryview) -> Iterator[_Field]:
    place = 0
    while place < len(message):
        start = place
        tag, place = _read_varint(message, place)
        number, wire_type = tag >> 3, tag & 7
        value: Any
        if wire_type == _VARINT:
            value, place = _read_varint(message, place)
        elif wire_type == _FIXED64:
            (value,) = struct.unpack_from("<Q", message, place)
            place += 8
        elif wire_type == _FIXED32:
            (value,) = struct.unpack_from("<I", message, place)
            place += 4
        elif wire_type == _BYTES:
            length, place = _read_varint(message, place)
            value = message[place : place + length]
            if len(value) != length:
                raise ValueError("a protobuf message ends inside a field")
            place += length
        else:
            raise ValueError(f"a protobuf message has wire type {wire_type}")
        yield _Field(number, value, start, place)


def _read_varint(message: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(message) or shift > 63:
            raise ValueError("a protobuf message ends inside a number")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def _write_message(field: int, content: bytes) -> bytes:
    """`content` as the field of this number."""
    head = bytearray((field << 3 | _BYTES,))
    length = len(content)
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + content


def split_request(body: bytes) -> list[tuple[int, bytes]]:
    """The two halves of a request, each with how many records are in it; none of a single one. A
    request of log records has the fields of one of spans."""
    (resource_spans,) = _read_fields(memoryview(body))
    rest = [f for f in _read_fields(resource_spans.value) if f.number != 2]
    shared = b"".join(bytes(resource_spans.value[f.start : f.end]) for f in rest)
    spans: list[tuple[bytes, bytes]] = []  # what its scope is, and it itself
    for scope_spans in (f.value for f in _read_fields(resource_spans.value) if f.number == 2):
        fields = list(_read_fields(scope_spans))
        scope = b"".join(bytes(scope_spans[f.start : f.end]) for f in fields if f.number != 2)
        spans += ((scope, bytes(scope_spans[f.start : f.end])) for f in fields if f.number == 2)
    if len(spans) < 2:
        return []
    middle = len(spans) // 2
    return [(len(half), _join(shared, half)) for half in (spans[:middle], spans[middle:])]


def _join(shared: bytes, spans: list[tuple[bytes, bytes]]) -> bytes:
    by_scope: dict[bytes, list[bytes]] = {}
    for scope, span in spans:
        by_scope.setdefault(scope, []).append(span)
    scopes = (_write_message(2, scope + b"".join(group)) for scope, group in by_scope.items())
    return _write_message(1, shared + b"".join(scopes))


def read_partial_success(answer: bytes) -> tuple[int, str]:
    """How many records a receiver rejected though it said yes, and why, from its response.
    (0, "") of what is none."""
    rejected, message = 0, ""
    try:
        for field in _read_fields(memoryview(answer)):
            if field.number != 1 or not isinstance(field.value, memoryview):
                continue
            for inner in _read_fields(field.value):
                if inner.number == 1 and isinstance(inner.value, int):
                    rejected = inner.value
                elif inner.number == 2 and isinstance(inner.value, memoryview):
                    message = str(inner.value, "utf-8", "replace")
    except (ValueError, struct.error):
        return 0, ""
    return rejected, message

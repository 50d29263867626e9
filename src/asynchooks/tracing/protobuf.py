"""Reading protobuf, as far as OTLP needs it.

A message is a row of fields; one that is a message, a string or bytes has its length before it.
What a field is called, and what it holds, its reader knows.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("Field", "read_fields", "write_message")

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Field(NamedTuple):
    """One field of a message: its number, what it holds, and where in the bytes it stands."""

    number: int
    value: Any  # int; or memoryview of what has a length
    start: int
    end: int


def read_fields(message: memoryview) -> Iterator[Field]:
    place = 0
    while place < len(message):
        start = place
        tag, place = _read_varint(message, place)
        number, wire_type = tag >> 3, tag & 7
        value: Any
        if wire_type == VARINT:
            value, place = _read_varint(message, place)
        elif wire_type == FIXED64:
            (value,) = struct.unpack_from("<Q", message, place)
            place += 8
        elif wire_type == FIXED32:
            (value,) = struct.unpack_from("<I", message, place)
            place += 4
        elif wire_type == BYTES:
            length, place = _read_varint(message, place)
            value = message[place : place + length]
            if len(value) != length:
                raise ValueError("a protobuf message ends inside a field")
            place += length
        else:
            raise ValueError(f"a protobuf message has wire type {wire_type}")
        yield Field(number, value, start, place)


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


def write_message(field: int, content: bytes) -> bytes:
    """`content` as the field of this number."""
    head = bytearray((field << 3 | BYTES,))
    length = len(content)
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + content

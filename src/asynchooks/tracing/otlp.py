"""OTLP protobuf, written by hand: an ExportTraceServiceRequest and nothing else.

An agent that brings a protobuf library brings a version conflict. Field numbers are those of
opentelemetry/proto/trace/v1/trace.proto; the tests decode our bytes with its generated code.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from asynchooks.tracing.callsite import call_site_attributes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from asynchooks.tracing.span import AttributeValue, Event, Link, Span, SpanContext

__all__ = ("encode_spans",)

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def encode_spans(
    spans: Iterable[Span], resource: Mapping[str, AttributeValue], scope: str, version: str
) -> bytes:
    """The request that exports `spans` of one process, described by `resource`."""
    by_scope: dict[tuple[str, str], list[bytes]] = {}
    for span in spans:
        by_scope.setdefault(span.scope or (scope, version), []).append(_message(2, _span(span)))
    resource_spans = _message(1, _attributes(1, resource)) + b"".join(
        _message(2, _message(1, _text(1, name) + _text(2, version)) + b"".join(messages))
        for (name, version), messages in by_scope.items()
    )
    return _message(1, resource_spans)


def _span(span: Span) -> bytes:
    context = span.context
    attributes = span.attributes
    if span.call_site is not None:
        attributes = {**call_site_attributes(span.call_site), **attributes}
    parts = [
        _bytes(1, context.trace_id.to_bytes(16, "big")),
        _bytes(2, context.span_id.to_bytes(8, "big")),
        _text(3, context.trace_state),
        b"" if span.parent is None else _bytes(4, span.parent.span_id.to_bytes(8, "big")),
        _text(5, span.name),
        _number(6, span.kind),
        _fixed64(7, span.start_time),
        _fixed64(8, span.end_time or span.start_time),
        _attributes(9, attributes),
        _number(10, span.dropped_attributes),
        *(_message(11, _event(event)) for event in span.events),
        _number(12, span.dropped_events),
        *(_message(13, _link(link)) for link in span.links),
        _number(14, span.dropped_links),
        _message(15, _text(2, span.status_description) + _number(3, span.status_code)),
        _flags(16, context, is_remote=span.parent is not None and span.parent.is_remote),
    ]
    return b"".join(parts)


def _event(event: Event) -> bytes:
    return _fixed64(1, event.timestamp) + _text(2, event.name) + _attributes(3, event.attributes)


def _link(link: Link) -> bytes:
    context = link.context
    return b"".join(
        (
            _bytes(1, context.trace_id.to_bytes(16, "big")),
            _bytes(2, context.span_id.to_bytes(8, "big")),
            _text(3, context.trace_state),
            _attributes(4, link.attributes),
            _flags(6, context, is_remote=context.is_remote),
        )
    )


def _flags(field: int, context: SpanContext, *, is_remote: bool) -> bytes:
    # Bits 8 and 9: "it is known whether the parent is remote" and "it is".
    value = (context.trace_flags & 0xFF) | 0x100 | (0x200 if is_remote else 0)
    return _tag(field, _FIXED32) + struct.pack("<I", value)


def _attributes(field: int, attributes: Mapping[str, AttributeValue]) -> bytes:
    return b"".join(
        _message(field, _text(1, key) + _message(2, _any_value(value)))
        for key, value in attributes.items()
    )


def _any_value(value: object) -> bytes:
    # A oneof: what is set is written, also where it is zero or empty.
    if isinstance(value, str):
        return _bytes(1, _utf8(value))
    if isinstance(value, bool):
        return _tag(2, _VARINT) + (b"\x01" if value else b"\x00")
    if isinstance(value, int):
        if -(1 << 63) <= value < 1 << 63:
            return _tag(3, _VARINT) + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
        return _bytes(1, str(value).encode())
    if isinstance(value, float):
        return _tag(4, _FIXED64) + struct.pack("<d", value)
    if isinstance(value, list | tuple):
        return _message(5, b"".join(_message(1, _any_value(item)) for item in value))
    if isinstance(value, bytes):
        return _bytes(7, value)
    return _bytes(1, _utf8(str(value)))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _text(field: int, value: str) -> bytes:
    return _bytes(field, _utf8(value)) if value else b""


def _number(field: int, value: int) -> bytes:
    return _tag(field, _VARINT) + _varint(value) if value else b""


def _fixed64(field: int, value: int) -> bytes:
    return _tag(field, _FIXED64) + struct.pack("<Q", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _tag(field, _BYTES) + _varint(len(value)) + value


_message = _bytes


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)

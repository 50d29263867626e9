"""What an OTLP sender does with messages, besides sending them. The core writes them."""

from __future__ import annotations

import struct

from asynchooks.tracing.protobuf import read_fields, write_message

__all__ = ("read_partial_success", "split_request")


def split_request(body: bytes) -> list[tuple[int, bytes]]:
    """The two halves of a request, each with how many spans are in it; none of a single span."""
    (resource_spans,) = read_fields(memoryview(body))
    rest = [f for f in read_fields(resource_spans.value) if f.number != 2]
    shared = b"".join(bytes(resource_spans.value[f.start : f.end]) for f in rest)
    spans: list[tuple[bytes, bytes]] = []  # what its scope is, and it itself
    for scope_spans in (f.value for f in read_fields(resource_spans.value) if f.number == 2):
        fields = list(read_fields(scope_spans))
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
    scopes = (write_message(2, scope + b"".join(group)) for scope, group in by_scope.items())
    return write_message(1, shared + b"".join(scopes))


def read_partial_success(answer: bytes) -> tuple[int, str]:
    """How many spans a receiver rejected though it said yes, and why, from its
    ExportTraceServiceResponse. (0, "") of what is none."""
    rejected, message = 0, ""
    try:
        for field in read_fields(memoryview(answer)):
            if field.number != 1 or not isinstance(field.value, memoryview):
                continue
            for inner in read_fields(field.value):
                if inner.number == 1 and isinstance(inner.value, int):
                    rejected = inner.value
                elif inner.number == 2 and isinstance(inner.value, memoryview):
                    message = str(inner.value, "utf-8", "replace")
    except (ValueError, struct.error):
        return 0, ""
    return rejected, message

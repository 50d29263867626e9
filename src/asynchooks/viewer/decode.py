"""From the bytes of an OTLP/HTTP export to records."""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import json
import zlib
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from asynchooks.viewer.errors import BadRequestError, TooLargeError, UnsupportedError
from asynchooks.viewer.model import Batch, Process, SpanRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("MAXIMUM_BODY", "decode_export")

# Bytes, before and after decompression. Exporters send some hundred KiB.
MAXIMUM_BODY = 16 * 1024 * 1024
MAXIMUM_DECOMPRESSED = 64 * 1024 * 1024

_ID_KEYS = frozenset(("traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"))


def decode_export(body: bytes, content_type: str, content_encoding: str) -> list[Batch]:
    """The batches of one export.

    Raises:
        BadRequestError: the bytes are not what their headers say.
    """
    body = _decompress(body, content_encoding)
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-protobuf":
        request = _parse_protobuf(body)
    elif kind == "application/json":
        request = _parse_json(body)
    else:
        raise UnsupportedError(
            f"content type is {content_type!r}, expected application/x-protobuf or application/json"
        )
    return [_batch(resource_spans) for resource_spans in request.resource_spans]


def _decompress(body: bytes, encoding: str) -> bytes:
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise UnsupportedError(f"content encoding is {encoding!r}, expected gzip or none")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            plain = file.read(MAXIMUM_DECOMPRESSED + 1)
    except EOFError as exc:
        raise BadRequestError("the gzip body is cut short") from exc
    except (OSError, zlib.error) as exc:
        raise BadRequestError(f"the body is not gzip: {exc}") from exc
    if len(plain) > MAXIMUM_DECOMPRESSED:
        raise TooLargeError(f"the body is larger than {MAXIMUM_DECOMPRESSED} bytes when unpacked")
    return plain


def _parse_protobuf(body: bytes) -> Any:
    try:
        return ExportTraceServiceRequest.FromString(body)
    except DecodeError as exc:
        raise BadRequestError(f"the body is not an OTLP trace export: {exc}") from exc


def _parse_json(body: bytes) -> Any:
    """OTLP's JSON is protobuf's, but for ids, which are hex instead of base64."""
    try:
        document = json.loads(body)
        if not isinstance(document, dict):
            raise BadRequestError("the body is not an OTLP trace export: expected a JSON object")
        return ParseDict(
            _hex_to_base64(document), ExportTraceServiceRequest(), ignore_unknown_fields=True
        )
    except (ValueError, RecursionError, ParseError, binascii.Error) as exc:
        raise BadRequestError(f"the body is not an OTLP trace export: {exc}") from exc


def _hex_to_base64(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: base64.b64encode(bytes.fromhex(item)).decode()
            if key in _ID_KEYS and isinstance(item, str)
            else _hex_to_base64(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_hex_to_base64(item) for item in value]
    return value


def _batch(resource_spans: Any) -> Batch:
    attributes = _attributes(resource_spans.resource.attributes)
    service = str(attributes.get("service.name", "unknown_service"))
    sent = [span for scope_spans in resource_spans.scope_spans for span in scope_spans.spans]
    spans = [_span(span) for span in sent if len(span.trace_id) == 16 and len(span.span_id) == 8]
    process = Process(service=service, attributes=attributes)
    return Batch(process, spans, rejected=len(sent) - len(spans))


def _span(span: Any) -> SpanRecord:
    # SQLite's integers are signed; times beyond the year 2262 are a sender's mistake.
    limit = (1 << 63) - 1
    start = min(span.start_time_unix_nano, limit)
    return SpanRecord(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_span_id or None,
        name=span.name,
        kind=span.kind,
        start=start,
        end=max(min(span.end_time_unix_nano, limit), start),
        status=span.status.code,
        message=span.status.message,
        attributes=_attributes(span.attributes),
        events=[
            {
                "name": event.name,
                "time": str(event.time_unix_nano),
                "attributes": _attributes(event.attributes),
            }
            for event in span.events
        ],
        links=[
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "attributes": _attributes(link.attributes),
            }
            for link in span.links
        ],
    )


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    match value.WhichOneof("value"):
        case "array_value":
            return [_value(item) for item in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case None:
            return None
        case "double_value":
            number = value.double_value
            # JSON has no word for these.
            return number if number - number == 0 else str(number)
        case which:
            return getattr(value, which)

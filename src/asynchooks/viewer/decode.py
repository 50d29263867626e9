"""From the bytes of an OTLP/HTTP export to records."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zlib
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from asynchooks.viewer.errors import BadRequestError, TooLargeError, UnsupportedError
from asynchooks.viewer.model import Batch, LogBatch, LogLine, Process, SpanRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("MAXIMUM_BODY", "decode_export", "decode_logs")

# Bytes, before and after decompression. Exporters send some hundred KiB.
MAXIMUM_BODY = 16 * 1024 * 1024
MAXIMUM_DECOMPRESSED = 64 * 1024 * 1024

_ID_KEYS = frozenset(("traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"))


# SQLite's integers are signed; times beyond the year 2262 are a sender's mistake.
_MAXIMUM_TIME = (1 << 63) - 1


def decode_export(body: bytes, content_type: str, content_encoding: str) -> list[Batch]:
    """The batches of one export of spans.

    Raises:
        BadRequestError: the bytes are not what their headers say.
    """
    request = _parse(ExportTraceServiceRequest, "trace", body, content_type, content_encoding)
    return [_batch(resource_spans) for resource_spans in request.resource_spans]


def decode_logs(body: bytes, content_type: str, content_encoding: str) -> list[LogBatch]:
    """The batches of one export of log records.

    Raises:
        BadRequestError: the bytes are not what their headers say.
    """
    request = _parse(ExportLogsServiceRequest, "log", body, content_type, content_encoding)
    return [_log_batch(resource_logs) for resource_logs in request.resource_logs]


def _parse(message: Any, signal: str, body: bytes, content_type: str, content_encoding: str) -> Any:
    body = _decompress(body, content_encoding)
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/x-protobuf":
            return message.FromString(body)
        if kind == "application/json":
            return _parse_json(message, body)
    except (DecodeError, ParseError, ValueError, RecursionError) as exc:
        raise BadRequestError(f"the body is not an OTLP {signal} export: {exc}") from exc
    raise UnsupportedError(
        f"content type is {content_type!r}, expected application/x-protobuf or application/json"
    )


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


def _parse_json(message: Any, body: bytes) -> Any:
    """OTLP's JSON is protobuf's, but for ids, which are hex instead of base64."""
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("expected a JSON object")  # noqa: TRY004 -- it is the sender's
    return ParseDict(_hex_to_base64(document), message(), ignore_unknown_fields=True)


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
    sent = [span for scope_spans in resource_spans.scope_spans for span in scope_spans.spans]
    spans = [_span(span) for span in sent if _has_ids(span)]
    return Batch(_process(resource_spans.resource), spans, rejected=len(sent) - len(spans))


def _log_batch(resource_logs: Any) -> LogBatch:
    lines = [
        _line(record, scope_logs.scope.name)
        for scope_logs in resource_logs.scope_logs
        for record in scope_logs.log_records
        if _has_ids(record)
    ]
    return LogBatch(_process(resource_logs.resource), lines)


def _has_ids(record: Any) -> bool:
    return len(record.trace_id) == 16 and len(record.span_id) == 8


def _process(resource: Any) -> Process:
    attributes = _attributes(resource.attributes)
    service = str(attributes.get("service.name", "unknown_service"))
    return Process(service=service, attributes=attributes)


def _line(record: Any, logger: str) -> LogLine:
    body = _value(record.body)
    return LogLine(
        trace_id=record.trace_id,
        span_id=record.span_id,
        time=min(record.time_unix_nano or record.observed_time_unix_nano, _MAXIMUM_TIME),
        message=body if isinstance(body, str) else json.dumps(body),
        severity=record.severity_text or _severity(record.severity_number),
        logger=logger,
        attributes=_attributes(record.attributes),
    )


def _severity(number: int) -> str:
    """What OpenTelemetry calls a severity that has no text of its own."""
    names = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
    return names[(number - 1) // 4] if 1 <= number <= 24 else ""


def _span(span: Any) -> SpanRecord:
    start = min(span.start_time_unix_nano, _MAXIMUM_TIME)
    return SpanRecord(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_span_id or None,
        name=span.name,
        kind=span.kind,
        start=start,
        end=max(min(span.end_time_unix_nano, _MAXIMUM_TIME), start),
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

"""The receiver: what it takes, and what it refuses with one clear line."""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from tests.viewer.conftest import PROTOBUF, Export

from asynchooks.viewer import decode
from asynchooks.viewer.decode import decode_export
from asynchooks.viewer.errors import BadRequestError

if TYPE_CHECKING:
    from tests.viewer.conftest import Viewer

JSON = {"content_type": "application/json"}


def one_request() -> Export:
    export = Export()
    root = export.server("/orders", duration=5_000_000)
    export.query("SELECT 1", parent=root)
    return export


def as_json(export: Export) -> dict[str, Any]:
    """OTLP's JSON: protobuf's, with hex ids and numbers for enumerations."""
    document = MessageToDict(export.request, use_integers_for_enums=True)
    for span in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for key in ("traceId", "spanId", "parentSpanId"):
            if key in span:
                span[key] = base64.b64decode(span[key]).hex()
    return document


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize(
    "content_type", ["application/x-protobuf", "application/json; charset=utf-8"]
)
def test_both_forms_packed_or_not(viewer: Viewer, content_type: str, gzipped: bool) -> None:
    export = one_request()
    is_json = "json" in content_type
    body = json.dumps(as_json(export)).encode() if is_json else export.body
    headers = {"content_type": content_type}
    if gzipped:
        body, headers["content_encoding"] = gzip.compress(body), "gzip"
    answer = viewer.post(body, **headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == content_type.split(";")[0]
    assert answer.content == (b"{}" if is_json else b"")
    request = viewer.request()
    assert (request["method"], request["route"], request["status"]) == ("GET", "/orders", 200)
    assert (request["duration_ns"], request["queries"], request["spans"]) == (5_000_000, 1, 2)
    assert request["service"] == "shop"


def test_every_kind_of_value(viewer: Viewer) -> None:
    export = Export()
    export.server("/", text="é", yes=True, number=-(1 << 63), pi=3.5, nan=float("nan"))
    span = export.request.resource_spans[0].scope_spans[0].spans[0]
    array = span.attributes.add(key="list").value.array_value
    array.values.add(string_value="a")
    array.values.add(int_value=1)
    span.attributes.add(key="map").value.kvlist_value.values.add(key="k").value.string_value = "v"
    span.attributes.add(key="bytes").value.bytes_value = b"\x00\xff"
    span.attributes.add(key="empty")
    viewer.send(export)
    attributes = viewer.trace()["spans"][0]["attributes"]
    assert attributes["text"] == "é"
    assert attributes["yes"] is True
    assert attributes["number"] == -(1 << 63)
    assert attributes["pi"] == 3.5
    assert attributes["nan"] == "nan"
    assert attributes["list"] == ["a", 1]
    assert attributes["map"] == {"k": "v"}
    assert attributes["bytes"] == "AP8="
    assert attributes["empty"] is None


def test_an_empty_export_is_fine(viewer: Viewer) -> None:
    assert viewer.post(b"", **PROTOBUF).status_code == 200
    assert viewer.post(b"{}", **JSON).status_code == 200
    assert viewer.requests() == []


def test_spans_with_ids_that_are_none_are_left_out(viewer: Viewer) -> None:
    export = Export()
    export.server("/kept")
    spans = export.request.resource_spans[0].scope_spans[0].spans
    spans.add(trace_id=b"short", span_id=b"12345678", name="bad trace id")
    spans.add(trace_id=b"1234567812345678", span_id=b"", name="bad span id")
    answer = viewer.post(export.body, **PROTOBUF)
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partial.rejected_spans) == (200, 2)
    assert partial.error_message == "2 spans without a valid trace id or span id were left out"
    assert viewer.request()["route"] == "/kept"
    answer = viewer.post(b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"x"}]}]}]}', **JSON)
    assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"


def test_gzip_in_several_members(viewer: Viewer) -> None:
    body = one_request().body
    packed = gzip.compress(body[:20]) + gzip.compress(body[20:])
    assert viewer.post(packed, **PROTOBUF, content_encoding="gzip").status_code == 200
    assert viewer.request()["route"] == "/orders"


def test_times_that_make_no_sense_do_not_break_the_store(viewer: Viewer) -> None:
    export = Export()
    export.server("/late", start=(1 << 64) - 10, duration=5)
    export.server("/backwards", trace=2, start=100, duration=-50)
    viewer.send(export)
    assert {r["route"]: r["duration_ns"] for r in viewer.requests()} == {
        "/late": 0,
        "/backwards": 0,
    }


@pytest.mark.parametrize(
    ("body", "headers", "status", "message"),
    [
        (b"\xff\xff garbage", PROTOBUF, 400, "not an OTLP trace export"),
        (b"{", JSON, 400, "not an OTLP trace export"),
        (b"[]", JSON, 400, "expected a JSON object"),
        (b'{"resourceSpans": 5}', JSON, 400, "not an OTLP trace export"),
        (b"[" * 100_000, JSON, 400, "not an OTLP trace export"),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}', JSON, 400, "hex"),
        (b"\xff\xfe", JSON, 400, "not an OTLP trace export"),
        (b"not gzip", {**PROTOBUF, "content_encoding": "gzip"}, 400, "not gzip"),
        (
            gzip.compress(b"x" * 999)[:-9],
            {**PROTOBUF, "content_encoding": "gzip"},
            400,
            "cut short",
        ),
        (b"", {**PROTOBUF, "content_encoding": "br"}, 415, "'br', expected gzip"),
        (b"", {"content_type": "text/plain"}, 415, "'text/plain', expected application/x-protobuf"),
        (b"", {}, 415, "expected application/x-protobuf"),
    ],
)
def test_what_it_refuses(
    viewer: Viewer, body: bytes, headers: dict[str, str], status: int, message: str
) -> None:
    viewer.send(one_request())
    answer = viewer.post(body, **headers)
    assert answer.status_code == status
    assert message in answer.content.decode()
    assert "\n" not in answer.content.decode().strip()
    assert viewer.request()["route"] == "/orders", "what was stored is still there"


def test_a_refused_protobuf_export_is_answered_with_a_status_message(viewer: Viewer) -> None:
    answer = viewer.post(b"\xff\xff", **PROTOBUF)
    assert answer.headers["content-type"] == "application/x-protobuf"
    # google.rpc.Status: field 2 is the message.
    assert answer.content[0] == 2 << 3 | 2
    assert answer.content[1] == len(answer.content) - 2


def test_a_body_that_is_too_large(viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer.send(one_request())
    body = b"\0" * (decode.MAXIMUM_BODY + 1)
    answer = viewer.post(body, **PROTOBUF)
    assert answer.status_code == 413
    assert str(decode.MAXIMUM_BODY) in answer.text
    assert viewer.request()["route"] == "/orders"


def test_a_small_body_that_unpacks_to_a_large_one(viewer: Viewer) -> None:
    bomb = gzip.compress(b"\0" * (decode.MAXIMUM_DECOMPRESSED + 1))
    assert len(bomb) < 100_000
    headers = {**PROTOBUF, "content_encoding": "gzip"}
    answer = viewer.post(bomb, **headers)
    assert answer.status_code == 413


@given(st.binary(max_size=300), st.sampled_from(["application/x-protobuf", "application/json"]))
def test_no_bytes_make_the_decoder_fail(body: bytes, content_type: str) -> None:
    try:
        decode_export(body, content_type, "")
    except BadRequestError as exc:
        assert str(exc)  # noqa: PT017 -- either is fine, any other exception is not


@given(st.data())
@settings(suppress_health_check=[*HealthCheck])
def test_no_damage_to_an_export_makes_the_decoder_fail(data: st.DataObject) -> None:
    body = bytearray(one_request().body)
    for _ in range(data.draw(st.integers(1, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_export(bytes(body), "application/x-protobuf", "")
    except BadRequestError as exc:
        assert str(exc)  # noqa: PT017 -- as above


def test_only_posting_is_allowed(viewer: Viewer) -> None:
    assert viewer.get("/v1/traces").status_code == 405
    assert viewer.ask("PUT", "/v1/traces").status_code == 405

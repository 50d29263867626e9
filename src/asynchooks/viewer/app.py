"""The viewer's HTTP side: the receiver, the API and the page."""

from __future__ import annotations

import logging
import sqlite3
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from asynchooks.viewer import query
from asynchooks.viewer.decode import MAXIMUM_BODY, decode_export, decode_logs
from asynchooks.viewer.errors import BadRequestError, TooLargeError
from asynchooks.viewer.security import Guard

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from google.protobuf.message import Message
    from starlette.requests import Request

    from asynchooks.viewer.live import Live
    from asynchooks.viewer.store import Store

    T = TypeVar("T")

__all__ = ("make_app",)

logger = logging.getLogger("asynchooks.viewer")

PROTOBUF = "application/x-protobuf"


def make_app(store: Store, live: Live, *, host: str) -> Starlette:
    """The application over one store. `host` is the address that it is served at."""
    viewer = _Viewer(store, live)
    static = files("asynchooks.viewer").joinpath("static")
    return Starlette(
        routes=[
            # Mounted, so that other methods are refused here and do not go on to the files.
            Mount(
                "/v1",
                routes=[
                    Route("/traces", viewer.receive_traces, methods=["POST"]),
                    Route("/logs", viewer.receive_logs, methods=["POST"]),
                ],
            ),
            Route("/api/health", viewer.health),
            Route("/api/requests", viewer.list_requests),
            Route("/api/requests/{trace_id}", viewer.read_trace),
            Route("/api/live", viewer.stream),
            Mount("/", StaticFiles(directory=str(static), html=True)),
        ],
        middleware=[Middleware(Guard, host=host)],
        exception_handlers={
            BadRequestError: _refuse,
            HTTPException: _refuse_http,
            sqlite3.Error: _fail,
        },
    )


class _Viewer:
    """The end points. What touches the store runs in the thread pool, so that the page answers
    while an export is written."""

    def __init__(self, store: Store, live: Live) -> None:
        self._store = store
        self._live = live

    async def receive_traces(self, request: Request) -> Response:
        batches = await self._receive(request, decode_export, self._store.add)
        answer = ExportTraceServiceResponse()
        rejected = sum(batch.rejected for batch in batches)
        if rejected:
            message = f"{rejected} spans without a valid trace id or span id were left out"
            logger.warning(message)
            answer.partial_success.rejected_spans = rejected
            answer.partial_success.error_message = message
        return _accept(request, answer)

    async def receive_logs(self, request: Request) -> Response:
        """Lines that belong to no span are taken, too: there is nothing wrong with them, but the
        page has no place for them."""
        await self._receive(request, decode_logs, self._store.add_logs)
        return _accept(request, ExportLogsServiceResponse())

    async def _receive(
        self,
        request: Request,
        decode: Callable[[bytes, str, str], list[T]],
        add: Callable[[list[T]], list[tuple[bytes, bytes]]],
    ) -> list[T]:
        """Store an export, and tell the pages what has changed by it."""
        body = await _read_body(request)
        headers = request.headers
        batches = await run_in_threadpool(
            decode, body, headers.get("content-type", ""), headers.get("content-encoding", "")
        )
        changed = await run_in_threadpool(add, batches)
        if changed and self._live.has_pages:
            news = await self._read(lambda reader: query.read_requests(reader, changed))
            self._live.publish("requests", news)
        return batches

    async def health(self, request: Request) -> Response:
        dropped = await self._read(query.total_dropped)
        return JSONResponse(
            {"service": "asynchooks-viewer", "store": str(self._store.path), "dropped": dropped}
        )

    async def list_requests(self, request: Request) -> Response:
        parameters = request.query_params
        limit = query.parse_number(parameters.get("limit"), "limit")
        before = query.parse_number(parameters.get("before"), "before")
        page = await self._read(
            lambda reader: query.read_page(
                reader,
                text=parameters.get("filter", ""),
                limit=100 if limit is None else limit,
                before=before,
            )
        )
        return JSONResponse(page)

    async def read_trace(self, request: Request) -> Response:
        trace_id = request.path_params["trace_id"]
        trace = await self._read(lambda reader: query.read_trace(reader, trace_id))
        if trace is None:
            return JSONResponse({"error": f"no trace {trace_id} is stored"}, 404)
        return JSONResponse(trace)

    async def stream(self, request: Request) -> Response:
        return StreamingResponse(
            self._live.stream(),
            media_type="text/event-stream",
            headers={"cache-control": "no-store"},
        )

    async def _read(self, ask: Callable[[sqlite3.Connection], Any]) -> Any:
        def read() -> Any:
            reader = self._store.reader()
            try:
                return ask(reader)
            finally:
                reader.close()

        return await run_in_threadpool(read)


async def _read_body(request: Request) -> bytes:
    """The body, as long as it is not larger than an exporter's can be."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAXIMUM_BODY:
            raise TooLargeError(f"the body is larger than {MAXIMUM_BODY} bytes")
    return bytes(body)


def _accept(request: Request, answer: Message) -> Response:
    """An answer to an export, in the type that was sent."""
    if request.headers.get("content-type", "").startswith("application/json"):
        return JSONResponse(MessageToDict(answer))
    return Response(answer.SerializeToString(), media_type=PROTOBUF)


def _refuse(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, BadRequestError)
    answer = _problem(request, str(exc), exc.status)
    if isinstance(exc, TooLargeError):
        # What is still to come of the body is not read, either.
        answer.headers["connection"] = "close"
    return answer


def _refuse_http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    return _problem(request, exc.detail, exc.status_code)


def _fail(request: Request, exc: Exception) -> Response:
    logger.error("the store failed: %s", exc)
    return _problem(request, f"the store failed: {exc}", 503)


def _problem(request: Request, message: str, status: int) -> Response:
    """One line of JSON; for an exporter of protobuf a google.rpc.Status, as OTLP asks."""
    if request.url.path.startswith("/v1/"):
        logger.warning("refused an export: %s", message)
        if request.headers.get("content-type", "").startswith(PROTOBUF):
            text = message.encode()[:127]
            return Response(b"\x12" + bytes((len(text),)) + text, status, media_type=PROTOBUF)
    return JSONResponse({"error": message}, status)

"""Requests: begun and ended by real servers, around applications as people write them."""

from __future__ import annotations

import asyncio
import contextvars
import traceback
from typing import TYPE_CHECKING, Annotated, Any

import fastapi
import httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from tests.libraries.conftest import server_spans
from tests.libraries.serving import serve

import asynchooks
from asynchooks.libraries.asgi import TracedApplication
from asynchooks.tracing import Request, Span, SpanKind, StatusCode, current_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request as StarletteRequest
    from starlette.websockets import WebSocket
    from tests.libraries.conftest import Trace

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
seen: list[Request | None] = []


async def hello(request: StarletteRequest) -> PlainTextResponse:
    seen.append(current_request())
    return PlainTextResponse("hello")


async def fail(request: StarletteRequest) -> PlainTextResponse:
    raise LookupError("no such lamp")


async def own_id(request: StarletteRequest) -> PlainTextResponse:
    return PlainTextResponse("hello", headers={"X-Request-ID": "its own"})


async def stream(request: StarletteRequest) -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            seen.append(current_request())
            yield b"part"

    return StreamingResponse(parts())


async def later(request: StarletteRequest) -> PlainTextResponse:
    async def work() -> None:
        seen.append(current_request())
        span = asynchooks.tracing.start_span("mail")
        span.end()

    return PlainTextResponse("soon", background=BackgroundTask(work))


def in_pool(request: StarletteRequest) -> PlainTextResponse:
    seen.append(current_request())
    return PlainTextResponse("from a thread")


async def context(request: StarletteRequest) -> JSONResponse:
    return JSONResponse({variable.name: str(value) for variable, value in _variables()})


def _variables() -> Any:
    return contextvars.copy_context().items()


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    seen.append(current_request())
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


application = Starlette(
    routes=[
        Route("/hello/{name}", hello),
        Route("/fail", fail),
        Route("/own-id", own_id),
        Route("/stream", stream),
        Route("/later", later),
        Route("/in-pool", in_pool),
        Route("/context", context),
        Mount("/api", routes=[Route("/lamps/{number:int}", hello)]),
        WebSocketRoute("/echo", echo),
    ]
)


def visit(kind: str, *paths: str, app: Any = application, **options: Any) -> list[httpx.Response]:
    """The answers to GET requests, one after the other."""
    seen.clear()

    async def main() -> list[httpx.Response]:
        async with serve(kind, app) as client:
            return [await client.get(path, **options) for path in paths]

    return asyncio.run(main())


def server_span(trace: Trace) -> Span:
    (span,) = server_spans(trace)
    return span


every_server = pytest.mark.parametrize("kind", ["uvicorn-h11", "uvicorn-httptools", "hypercorn"])


@every_server
def test_a_request_is_a_server_span(trace: Trace, kind: str) -> None:
    (answer,) = visit(kind, "/hello/ada?token=abc&q=1", headers={"user-agent": "test"})
    assert answer.text == "hello"
    span = server_span(trace)
    assert span.name == "GET /hello/{name}"
    assert span.parent is None
    attributes = span.attributes
    assert attributes["http.request.method"] == "GET"
    assert attributes["http.route"] == "/hello/{name}"
    assert attributes["http.response.status_code"] == 200
    assert attributes["url.path"] == "/hello/ada"
    assert attributes["url.query"] == "token=REDACTED&q=1"
    assert attributes["url.scheme"] == "http"
    assert attributes["network.protocol.version"] == "1.1"
    assert attributes["server.address"] == "127.0.0.1"
    assert attributes["client.address"] == "127.0.0.1"
    assert attributes["user_agent.original"] == "test"
    assert span.status_code is StatusCode.UNSET


@every_server
def test_the_request_id_is_taken_or_made(trace: Trace, kind: str) -> None:
    (taken,) = visit(kind, "/hello/ada", headers={"x-request-id": "abc-1"})
    assert taken.headers["x-request-id"] == "abc-1"
    assert seen[0] is not None
    assert seen[0].id == "abc-1"
    first, second = visit(kind, "/hello/ada", "/hello/ada")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert [request.id for request in seen if request is not None] == [
        first.headers["x-request-id"],
        second.headers["x-request-id"],
    ]


@pytest.mark.parametrize("given", ["", "a b", "x" * 201, "é".encode()])
def test_an_id_that_could_harm_is_not_taken(trace: Trace, given: Any) -> None:
    (answer,) = visit("uvicorn-h11", "/hello/ada", headers={"x-request-id": given})
    assert len(answer.headers["x-request-id"]) == 16


@every_server
def test_the_application_s_own_id_in_the_answer_stays(trace: Trace, kind: str) -> None:
    (answer,) = visit(kind, "/own-id")
    assert answer.headers.get_list("x-request-id") == ["its own"]


@every_server
def test_traceparent_is_taken(trace: Trace, kind: str) -> None:
    visit(kind, "/hello/ada", headers={"traceparent": TRACEPARENT, "tracestate": "vendor=1"})
    span = server_span(trace)
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert span.parent.is_remote
    assert span.context.trace_state == "vendor=1"


@pytest.mark.parametrize("traceparent", ["", "garbage", f"00-{'0' * 32}-{'0' * 16}-01"])
def test_a_traceparent_that_is_none_begins_a_trace(trace: Trace, traceparent: str) -> None:
    visit("uvicorn-h11", "/hello/ada", headers={"traceparent": traceparent})
    assert server_span(trace).parent is None


@every_server
def test_mounts_are_part_of_the_route(trace: Trace, kind: str) -> None:
    visit(kind, "/api/lamps/7")
    assert server_span(trace).name == "GET /api/lamps/{number:int}".replace(":int", "")


@every_server
def test_what_no_route_matches_has_none(trace: Trace, kind: str) -> None:
    (answer,) = visit(kind, "/nowhere")
    assert answer.status_code == 404
    assert "x-request-id" in answer.headers
    span = server_span(trace)
    assert span.name == "GET"
    assert "http.route" not in span.attributes
    assert span.status_code is StatusCode.UNSET


@every_server
def test_a_request_that_fails(trace: Trace, kind: str) -> None:
    (answer,) = visit(kind, "/fail")
    assert answer.status_code == 500
    span = server_span(trace)
    assert span.status_code is StatusCode.ERROR
    assert span.attributes["http.response.status_code"] == 500
    assert span.attributes["error.type"] == "LookupError"
    stack = str(span.events[-1].attributes["exception.stacktrace"])
    assert "no such lamp" in stack
    assert "asynchooks" not in stack.replace("test_asgi", "").replace("/asynchooks/tests", "")


@every_server
def test_streams_and_pools_are_inside(trace: Trace, kind: str) -> None:
    visit(kind, "/stream")
    assert len(seen) == 3
    assert len({request.id for request in seen if request is not None}) == 1
    visit(kind, "/in-pool")
    assert seen[0] is not None
    assert seen[0].path == "/in-pool"


@every_server
def test_work_after_the_answer_is_the_request_s_and_not_in_its_time(
    trace: Trace, kind: str
) -> None:
    visit(kind, "/later")
    span = server_span(trace)
    (background,) = (span for span in trace.spans if span.name == "background")
    assert background.parent == span.context
    assert background.attributes["asynchooks.background"] is True
    mail = trace.named("mail")
    assert mail.parent == background.context
    assert mail.request is span.request
    assert span.end_time is not None
    assert mail.start_time >= span.end_time


@every_server
def test_a_kept_connection_s_requests_are_apart(trace: Trace, kind: str) -> None:
    """asyncio may hand on the context of the request before (cpython#140947)."""
    seen.clear()

    async def main() -> list[str]:
        async with serve(kind, application) as client:
            base = client.base_url
            async with httpx.AsyncClient(base_url=base) as keeping:
                return [
                    (await keeping.get(f"/hello/{n}")).headers["x-request-id"] for n in range(5)
                ]

    ids = asyncio.run(main())
    assert len(set(ids)) == 5
    assert [request.id for request in seen if request is not None] == ids
    traces = {span.context.trace_id for span in trace.spans if span.kind is SpanKind.SERVER}
    assert len(traces) == 5


@every_server
def test_requests_at_once_are_apart(trace: Trace, kind: str) -> None:
    seen.clear()

    async def main() -> list[str]:
        async with serve(kind, application) as client:
            answers = await asyncio.gather(*(client.get(f"/hello/{n}") for n in range(50)))
            return [answer.headers["x-request-id"] for answer in answers]

    ids = asyncio.run(main())
    assert len(set(ids)) == 50
    assert {request.id for request in seen if request is not None} == set(ids)


def test_included_routers_of_fastapi(trace: Trace) -> None:
    router = fastapi.APIRouter(prefix="/orders")

    @router.get("/{order_id}/items")
    async def items(order_id: int) -> dict[str, int]:
        return {"order": order_id}

    def known(name: Annotated[str, fastapi.Query()] = "ada") -> str:
        seen.append(current_request())
        return name

    @router.get("/greet", dependencies=[fastapi.Depends(known)])
    def greet() -> str:
        seen.append(current_request())
        return "hello"

    app = fastapi.FastAPI()
    outer = fastapi.APIRouter(prefix="/v1")
    outer.include_router(router)
    app.include_router(outer)
    answers = visit("uvicorn-h11", "/v1/orders/7/items", "/v1/orders/greet", app=app)
    assert [answer.status_code for answer in answers] == [200, 200]
    names = [span.name for span in trace.spans if span.kind is SpanKind.SERVER]
    assert names == ["GET /v1/orders/{order_id}/items", "GET /v1/orders/greet"]
    assert [request.path for request in seen if request is not None] == ["/v1/orders/greet"] * 2


def test_the_application_s_context_has_only_our_own_variables(trace: Trace) -> None:
    (answer,) = visit("uvicorn-h11", "/context")
    ours = {name for name in answer.json() if name.startswith("asynchooks.")}
    known = {"asynchooks.scope", "asynchooks.task_spans"}
    assert ours <= known


# Without a server: what an application could see of us.


async def call(app: Any, scope: dict[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await app(scope, receive, send)
    return messages


def scope_of(path: str = "/", **more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [],
        "scheme": "http",
        **more,
    }


def test_scope_and_messages_are_passed_on_as_they_are(trace: Trace) -> None:
    scope = scope_of(extra=object())
    start = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}
    body = {"type": "http.response.body", "body": b"x"}

    async def app(got: Any, receive: Any, send: Any) -> None:
        assert got is scope
        await send(start)
        await send(body)

    messages = asyncio.run(call(TracedApplication(app), scope))
    assert start["headers"] == [(b"a", b"b")]
    assert messages[1] is body
    assert [name for name, _ in messages[0]["headers"]] == [b"a", b"x-request-id"]


def test_an_exception_passes_unchanged(trace: Trace) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("its own")

    with pytest.raises(LookupError, match="its own") as caught:
        asyncio.run(call(TracedApplication(app), scope_of()))
    names = [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert names[-2:] == ["call", "app"]
    assert server_span(trace).attributes["http.response.status_code"] == 500


def test_a_client_that_goes_away_is_no_error_of_ours(trace: Trace) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(call(TracedApplication(app), scope_of()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    span = server_span(trace)
    assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"
    assert "http.response.status_code" not in span.attributes


@pytest.mark.parametrize("kind", ["lifespan", "something new"])
def test_what_is_no_request_goes_by(trace: Trace, kind: str) -> None:
    calls: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        calls.append(current_request())

    asyncio.run(call(TracedApplication(app), {"type": kind}))
    assert calls == [None]
    assert trace.spans == []


def test_a_websocket_is_one_span_from_beginning_to_end(trace: Trace) -> None:
    incoming: list[Any] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "hello"},
        {"type": "websocket.disconnect", "code": 1000},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {**scope_of("/echo", scheme="ws", subprotocols=[]), "type": "websocket"}
    del scope["method"]
    seen.clear()
    asyncio.run(TracedApplication(application)(scope, receive, send))
    kinds = [message["type"] for message in sent]
    assert kinds == ["websocket.accept", "websocket.send", "websocket.close"]
    span = server_span(trace)
    assert span.request is not None
    assert sent[0]["headers"] == [(b"x-request-id", span.request.id.encode())]
    assert span.name == "WEBSOCKET /echo"
    assert span.attributes["http.request.method"] == "GET"
    assert span.attributes["http.response.status_code"] == 101
    assert seen == [span.request]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"type": "websocket.close"}, 403),
        ({"type": "websocket.http.response.start", "status": 401, "headers": []}, 401),
    ],
)
def test_a_websocket_that_is_refused(trace: Trace, answer: Any, status: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(answer)

    asyncio.run(call(TracedApplication(app), {**scope_of(), "type": "websocket"}))
    span = server_span(trace)
    assert span.attributes["http.response.status_code"] == status
    assert span.status_code is StatusCode.UNSET


def test_a_websocket_s_failure_after_the_handshake_is_no_status_of_it(trace: Trace) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        raise LookupError("gone")

    with pytest.raises(LookupError):
        asyncio.run(call(TracedApplication(app), {**scope_of(), "type": "websocket"}))
    span = server_span(trace)
    assert span.attributes["http.response.status_code"] == 101
    assert span.status_description == "gone"


def test_an_application_that_cannot_even_be_called_is_called_once(trace: Trace) -> None:
    def app(scope: Any, receive: Any, send: Any) -> Any:
        raise LookupError("at once")

    async def send(message: Any) -> None: ...

    made = TracedApplication(app)(scope_of(), send, send)
    with pytest.raises(LookupError, match="at once"):
        made.send(None)
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        made.send(None)
    made.close()
    assert server_span(trace).status_description == "at once"


def test_what_the_server_does_while_it_sends_is_not_the_request_s(trace: Trace) -> None:
    """uvicorn begins the next request of a pipelined connection there, hypercorn a timer."""
    started: list[asyncio.Task[Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.create_task(asyncio.sleep(0), name=f"of {scope['path']}")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    traced = TracedApplication(app)

    async def send(message: Any) -> None:
        if not started:
            started.append(asyncio.create_task(call(traced, scope_of("/second"))))

    async def main() -> None:
        await traced(scope_of("/first"), None, send)
        await started[0]

    asyncio.run(main())
    tasks_of: dict[str, list[str]] = {"/first": [], "/second": []}
    for span in trace.spans:
        assert span.request is not None
        if span.name.startswith("task "):
            tasks_of[span.request.path].append(span.name)
    assert tasks_of == {"/first": ["task of /first"], "/second": ["task of /second"]}


def test_attributes_of_the_application_are_there(trace: Trace) -> None:
    app = Starlette()
    app.state.value = 1
    assert TracedApplication(app).state.value == 1
    with pytest.raises(AttributeError, match="nothing"):
        _ = TracedApplication(app).nothing


@pytest.mark.parametrize(
    "broken",
    [
        {"headers": [(b"x-request-id", None)]},
        {"path": None},
        {"headers": None, "client": "nobody", "server": ()},
    ],
)
def test_a_scope_that_we_do_not_understand_is_the_application_s_to_judge(
    trace: Trace, broken: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope)

    asyncio.run(call(TracedApplication(app), scope_of(**broken)))
    assert len(calls) == 1
    caplog.clear()


def test_methods_of_high_cardinality(trace: Trace) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 405})
        await send({"type": "http.response.body"})

    asyncio.run(call(TracedApplication(app), scope_of(method="BREW")))
    span = server_span(trace)
    assert span.name == "HTTP"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "BREW"


# What runs before, beside and after the answer.


def test_the_bytes_and_pieces_of_an_answer_are_counted(trace: Trace) -> None:
    visit("uvicorn-h11", "/stream")
    span = server_span(trace)
    assert span.attributes["http.response.body.size"] == 12
    assert span.attributes["asynchooks.response.chunks"] == 3


def test_a_streamed_answer_lasts_until_its_last_byte(trace: Trace) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        assert server_spans(trace) == []
        asynchooks.tracing.start_span("between").end()
        await send({"type": "http.response.body", "body": b"b"})
        assert len(server_spans(trace)) == 1

    asyncio.run(call(TracedApplication(app), scope_of()))
    span = server_span(trace)
    assert trace.named("between").parent == span.context
    assert span.attributes["http.response.body.size"] == 2


def test_a_client_that_disconnects_is_told_and_is_no_failure(trace: Trace) -> None:
    async def disconnected() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pass

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/after":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        assert (await receive())["type"] == "http.disconnect"

    async def main(path: str) -> None:
        await TracedApplication(app)(scope_of(path), disconnected, send)

    asyncio.run(main("/before"))
    asyncio.run(main("/after"))
    before, after = server_spans(trace)
    assert before.attributes["asynchooks.client_disconnected"] is True
    assert before.status_code is StatusCode.UNSET
    assert "asynchooks.client_disconnected" not in after.attributes


def test_what_outlives_the_request_is_marked_and_linked(trace: Trace) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0, later)  # has the context of the open request
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def later() -> None:
        try:
            asynchooks.tracing.start_span("late").end()
        finally:
            done.set()

    async def main() -> None:
        await call(TracedApplication(app), scope_of())
        await done.wait()

    done = asyncio.Event()
    asyncio.run(main())
    span, mail = server_span(trace), trace.named("late")
    assert mail.request is span.request
    assert mail.attributes["asynchooks.outlives_parent"] is True
    assert [link.context for link in mail.links] == [span.context]


def test_the_background_of_a_request_is_linked_to_it(trace: Trace) -> None:
    visit("uvicorn-h11", "/later")
    (background,) = (span for span in trace.spans if span.name == "background")
    assert [link.context for link in background.links] == [server_span(trace).context]


def test_each_message_of_a_websocket_is_a_span(trace: Trace) -> None:
    incoming: list[Any] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "one"},
        {"type": "websocket.receive", "bytes": b"three"},
        {"type": "websocket.disconnect", "code": 1000},
    ]

    async def receive() -> Any:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        pass

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            asynchooks.tracing.start_span("work").end()
            await send({"type": "websocket.send", "text": message.get("text") or "b"})

    scope = {**scope_of("/echo"), "type": "websocket"}
    asyncio.run(TracedApplication(app)(scope, receive, send))
    span = server_span(trace)
    received = [one for one in trace.spans if one.name == "websocket receive"]
    sent = [one for one in trace.spans if one.name == "websocket send"]
    worked = [one for one in trace.spans if one.name == "work"]
    assert [one.parent for one in received] == [span.context] * 2
    assert [one.parent for one in worked] == [one.context for one in received]
    assert [one.parent for one in sent] == [one.context for one in received]
    told = [
        (one.attributes["asynchooks.message.type"], one.attributes["asynchooks.message.size"])
        for one in (*received, *sent)
    ]
    assert told == [("text", 3), ("binary", 5), ("text", 3), ("text", 1)]
    assert trace.spans[-1] is span


@every_server
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_get_after_a_large_post_is_a_request_of_its_own(
    trace: Trace, kind: str, loop: str
) -> None:
    """asyncio hands it the context of the POST (cpython#140947)."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        asynchooks.tracing.start_span(f"work {scope['method']}").end()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def main() -> None:
        async with (
            serve(kind, app) as client,
            httpx.AsyncClient(base_url=client.base_url, timeout=60) as keeping,
        ):
            for _ in range(3):
                await keeping.post("/", content=b"x" * 300_000)
                await keeping.get("/")

    with asyncio.Runner(loop_factory=pytest.importorskip(loop).new_event_loop) as runner:
        runner.run(main())
    spans = server_spans(trace)
    assert [span.attributes["http.request.method"] for span in spans] == ["POST", "GET"] * 3
    assert [span.parent for span in spans] == [None] * 6
    assert len({span.context.trace_id for span in spans}) == 6
    worked = [span for span in trace.spans if span.name.startswith("work ")]
    assert [one.parent for one in worked] == [span.context for span in spans]

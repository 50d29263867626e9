"""gRPC, both sides, sync and asyncio, over real connections."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
import grpc._channel  # type: ignore[import-untyped]
import grpc._server  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]
import grpc.aio._channel  # type: ignore[import-untyped]
import grpc.aio._server  # type: ignore[import-untyped]
import pytest

from asynchooks.tracing import Request, Span, SpanKind, StatusCode, current_request, start_span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.libraries.conftest import Trace

SERVICE = "shop.Orders"
seen: list[Request | None] = []


def work(text: bytes) -> bytes:
    seen.append(current_request())
    start_span(f"work {text.decode()}").end()
    return text.upper()


def get(request: bytes, context: Any) -> bytes:
    if request == b"fail":
        raise LookupError("no such lamp")
    if request == b"missing":
        context.abort(grpc.StatusCode.NOT_FOUND, "no such order")
    return work(request)


def watch(request: bytes, context: Any) -> Iterator[bytes]:
    for _ in range(3):
        yield work(request)


def collect(requests: Iterator[bytes], context: Any) -> bytes:
    return b"".join(work(request) for request in requests)


def chat(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    for request in requests:
        yield work(request)


async def get_async(request: bytes, context: Any) -> bytes:
    await asyncio.sleep(0)
    if request == b"fail":
        raise LookupError("no such lamp")
    if request == b"missing":
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such order")
    return work(request)


async def watch_async(request: bytes, context: Any) -> AsyncIterator[bytes]:
    for _ in range(3):
        yield work(request)


async def collect_async(requests: AsyncIterator[bytes], context: Any) -> bytes:
    return b"".join([work(request) async for request in requests])


async def chat_async(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        yield work(request)


def handlers(*methods: Any) -> Any:
    arities = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
    made = {
        name: getattr(grpc, f"{arity}_rpc_method_handler")(method)
        for name, arity, method in zip(
            ("Get", "Watch", "Collect", "Chat"), arities, methods, strict=True
        )
    }
    return grpc.method_handlers_generic_handler(SERVICE, made)


@contextmanager
def serve_sync() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(8), handlers=(handlers(get, watch, collect, chat),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@asynccontextmanager
async def serve_async() -> AsyncIterator[str]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handlers(get_async, watch_async, collect_async, chat_async),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def call_sync(trace: Trace, use: Callable[[Any], Any]) -> Request:
    """`use(channel)` inside a request, and the other side is sync."""
    with serve_sync() as target, grpc.insecure_channel(target) as channel:
        with trace.request("r42") as request:
            use(channel)
        return request


def call_async(trace: Trace, use: Callable[[Any], Any]) -> Request:
    """The same with asyncio."""

    async def main() -> Request:
        async with serve_async() as target, grpc.aio.insecure_channel(target) as channel:
            with trace.request("r42") as request:
                await use(channel)
        return request

    return asyncio.run(main())


def of_kind(trace: Trace, kind: SpanKind) -> list[Span]:
    return [span for span in trace.spans if span.kind is kind]


@pytest.fixture(autouse=True)
def forget() -> None:
    seen.clear()


def ask(channel: Any, name: str, payload: Any) -> Any:
    arity = {
        "Get": "unary_unary",
        "Watch": "unary_stream",
        "Collect": "stream_unary",
        "Chat": "stream_stream",
    }[name]
    return getattr(channel, arity)(f"/{SERVICE}/{name}")(payload, timeout=30)


def exercise(trace: Trace, kind: str, name: str) -> tuple[Request, bytes]:
    """Call one method with what it takes; what came back."""
    is_stream_in = name in ("Collect", "Chat")
    answer: list[bytes] = []

    def use(channel: Any) -> None:
        result = ask(channel, name, iter([b"a", b"a", b"a"]) if is_stream_in else b"a")
        answer.extend([result] if isinstance(result, bytes) else result)

    async def use_async(channel: Any) -> None:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"a"

        result = ask(channel, name, parts() if is_stream_in else b"a")
        if name in ("Get", "Collect"):
            answer.append(await result)
        else:
            answer.extend([part async for part in result])

    request = call_sync(trace, use) if kind == "sync" else call_async(trace, use_async)
    return request, b"".join(answer)


both = pytest.mark.parametrize("kind", ["sync", "asyncio"])


@both
@pytest.mark.parametrize("name", ["Get", "Watch", "Collect", "Chat"])
def test_a_call_is_a_span_on_both_sides(trace: Trace, kind: str, name: str) -> None:
    request, answer = exercise(trace, kind, name)
    assert answer == (b"A" if name == "Get" else b"AAA")
    (sent,) = of_kind(trace, SpanKind.CLIENT)
    (served,) = (span for span in of_kind(trace, SpanKind.SERVER) if span is not request.span)
    for span in (sent, served):
        assert span.name == f"{SERVICE}/{name}"
        assert span.attributes["rpc.system.name"] == "grpc"
        assert span.attributes["rpc.method"] == f"{SERVICE}/{name}"
        assert span.attributes["rpc.response.status_code"] == "OK"
        assert span.status_code is StatusCode.UNSET
    assert sent.parent == request.span.context
    assert sent.call_site is not None
    assert sent.call_site[0].co_filename == __file__
    assert served.parent is not None
    assert served.parent.span_id == sent.context.span_id
    assert served.context.trace_id == sent.context.trace_id
    assert served.attributes["client.address"] == "127.0.0.1"
    assert served.request is not None
    assert served.request.id == "r42"
    assert set(seen) == {served.request}
    worked = [span for span in trace.spans if span.name == "work a"]
    assert {span.parent for span in worked} == {served.context}
    assert len(worked) == (1 if name == "Get" else 3)


@both
@pytest.mark.parametrize(("payload", "code"), [(b"fail", "UNKNOWN"), (b"missing", "NOT_FOUND")])
def test_a_failure_and_a_refusal(trace: Trace, kind: str, payload: bytes, code: str) -> None:
    def use(channel: Any) -> None:
        with pytest.raises(grpc.RpcError) as caught:
            ask(channel, "Get", payload)
        error: Any = caught.value
        assert error.code().name == code

    async def use_async(channel: Any) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(channel, "Get", payload)
        assert caught.value.code().name == code

    request = call_sync(trace, use) if kind == "sync" else call_async(trace, use_async)
    (sent,) = of_kind(trace, SpanKind.CLIENT)
    (served,) = (span for span in of_kind(trace, SpanKind.SERVER) if span is not request.span)
    assert sent.attributes["rpc.response.status_code"] == code
    assert sent.status_code is StatusCode.ERROR
    if payload == b"fail":
        assert served.attributes["error.type"] == "LookupError"
        assert served.status_code is StatusCode.ERROR
    else:
        assert served.attributes["rpc.response.status_code"] == code
        assert served.status_code is StatusCode.UNSET


@both
def test_metadata_of_the_application_wins(trace: Trace, kind: str) -> None:
    own = (("x-request-id", "own"),)

    def use(channel: Any) -> None:
        channel.unary_unary(f"/{SERVICE}/Get")(b"a", metadata=own)

    async def use_async(channel: Any) -> None:
        await channel.unary_unary(f"/{SERVICE}/Get")(b"a", metadata=grpc.aio.Metadata(*own))

    if kind == "sync":
        call_sync(trace, use)
    else:
        call_async(trace, use_async)
    assert [request.id for request in seen if request is not None] == ["own"]


def test_futures_and_calls_with_their_call(trace: Trace) -> None:
    def use(channel: Any) -> None:
        method = channel.unary_unary(f"/{SERVICE}/Get")
        future = method.future(b"a")
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        assert future.result(timeout=30) == b"A"
        assert done.wait(30)
        answer, call = method.with_call(b"b")
        assert answer == b"B"
        assert call.code() is grpc.StatusCode.OK

    call_sync(trace, use)
    spans = of_kind(trace, SpanKind.CLIENT)
    assert [span.attributes["rpc.response.status_code"] for span in spans] == ["OK", "OK"]
    assert spans[0].attributes["server.address"] == "127.0.0.1"


@both
def test_calls_at_once_of_many_requests_are_apart(trace: Trace, kind: str) -> None:
    if kind == "sync":
        with serve_sync() as target, grpc.insecure_channel(target) as channel:

            def send(number: int) -> None:
                with trace.request(f"r{number}"):
                    ask(channel, "Get", str(number).encode())

            with ThreadPoolExecutor(50) as pool:
                list(pool.map(send, range(50)))
    else:

        async def main() -> None:
            async with serve_async() as target, grpc.aio.insecure_channel(target) as channel:

                async def send_async(number: int) -> None:
                    with trace.request(f"r{number}"):
                        await ask(channel, "Get", str(number).encode())

                await asyncio.gather(*map(send_async, range(50)))

        asyncio.run(main())
    worked = [span for span in trace.spans if span.name.startswith("work ")]
    assert len(worked) == 50
    for span in worked:
        assert span.request is not None
        assert span.request.id == f"r{span.name.removeprefix('work ')}"
        assert span.parent == span.request.span.context
    assert len({span.context.trace_id for span in worked}) == 50


def test_outside_of_a_request_nothing_is_added(trace: Trace) -> None:
    with serve_sync() as target, grpc.insecure_channel(target) as channel:
        assert ask(channel, "Get", b"a") == b"A"
    (served,) = of_kind(trace, SpanKind.SERVER)
    assert served.parent is None
    assert of_kind(trace, SpanKind.CLIENT) == []

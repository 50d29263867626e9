"""WSGI requests: begun and ended by real servers, around applications as people write them."""

from __future__ import annotations

import http.client
import io
import threading
import traceback
import wsgiref.handlers
import wsgiref.simple_server
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest
import waitress.server  # type: ignore[import-untyped]
import werkzeug.serving
from tests.libraries.conftest import server_spans

from asynchooks.libraries.wsgi import TracedWSGIApplication
from asynchooks.tracing import Request, StatusCode, current_request, start_span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.libraries.conftest import Trace

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
seen: list[Request | None] = []


def application(environ: dict[str, Any], start_response: Any) -> Any:
    seen.append(current_request())
    path = environ["PATH_INFO"]
    match path:
        case "/fail":
            raise LookupError("no such lamp")
        case "/own-id":
            start_response("200 OK", [("X-Request-ID", "its own")])
            return [b"hello"]
        case "/stream":
            start_response("200 OK", [("content-type", "text/plain")])
            return parts()
        case "/file":
            start_response("200 OK", [("content-type", "text/plain")])
            return environ.get("wsgi.file_wrapper", FileWrapper)(io.BytesIO(b"x" * 10_000))
        case "/write":
            write = start_response("200 OK", [("content-type", "text/plain")])
            write(b"written")
            return []
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", "5")])
    start_span(f"work on {path}").end()
    return [b"hello"]


def parts() -> Iterator[bytes]:
    for _ in range(3):
        seen.append(current_request())
        yield b"part"
    start_span("last step").end()


class QuietHandler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name
        pass


class QuietWerkzeugHandler(werkzeug.serving.WSGIRequestHandler):
    def log(self, *args: Any) -> None:
        pass


@contextmanager
def serve(kind: str, app: Any) -> Iterator[int]:
    """`app` behind a real server in a thread, and its port."""
    if kind == "waitress":
        waiting: Any = waitress.server.create_server(app, host="127.0.0.1", port=0, threads=4)
        thread = threading.Thread(target=waiting.run)
        thread.start()
        try:
            yield waiting.effective_port
        finally:
            waiting.task_dispatcher.shutdown()
            # Not pull_trigger(), which may find the trigger closed: a loop that is awake already
            # does what it is told before it is woken.
            with waiting.trigger.lock:
                waiting.trigger.thunks.append(waiting.close)
                waiting.trigger._physical_pull()
            thread.join()
        return
    if kind == "wsgiref":
        server: Any = wsgiref.simple_server.make_server(
            "127.0.0.1", 0, app, handler_class=QuietHandler
        )
    else:
        server = werkzeug.serving.make_server(
            "127.0.0.1", 0, app, threaded=True, request_handler=QuietWerkzeugHandler
        )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def get(port: int, path: str, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers=given)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


def visit(kind: str, *paths: str, app: Any = application, **headers: str) -> list[Answer]:
    seen.clear()
    with serve(kind, app) as port:
        return [get(port, path, **headers) for path in paths]


every_server = pytest.mark.parametrize("kind", ["wsgiref", "waitress", "werkzeug"])


@every_server
def test_a_request_is_a_server_span(trace: Trace, kind: str) -> None:
    (answer,) = visit(kind, "/hello/%C3%A4?token=abc&q=1", user_agent="test")
    assert answer.body == b"hello"
    (span,) = server_spans(trace)
    assert span.name == "GET"
    assert span.parent is None
    attributes = dict(span.attributes)
    assert attributes.pop("asynchooks.request_id") == answer.headers["x-request-id"]
    assert attributes.pop("server.port")
    assert attributes.pop("server.address")
    assert attributes.pop("network.protocol.version") in ("1.0", "1.1")
    assert attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.response.body.size": 5,
        "asynchooks.response.chunks": 1,
        "url.path": "/hello/ä",
        "url.query": "token=REDACTED&q=1",
        "url.scheme": "http",
        "client.address": "127.0.0.1",
        "user_agent.original": "test",
    }
    assert span.status_code is StatusCode.UNSET
    assert trace.named("work on /hello/\xc3\xa4").parent == span.context


@every_server
def test_the_request_id_is_taken_or_made(trace: Trace, kind: str) -> None:
    (taken,) = visit(kind, "/", x_request_id="abc-1")
    assert taken.headers["x-request-id"] == "abc-1"
    assert seen[0] is not None
    assert seen[0].id == "abc-1"
    first, second = visit(kind, "/", "/")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    (own,) = visit(kind, "/own-id")
    assert own.headers["x-request-id"] == "its own"


@every_server
def test_traceparent_is_taken(trace: Trace, kind: str) -> None:
    visit(kind, "/", traceparent=TRACEPARENT, tracestate="vendor=1")
    (span,) = server_spans(trace)
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert span.context.trace_state == "vendor=1"


@every_server
def test_a_request_that_fails(trace: Trace, kind: str, capfd: Any, caplog: Any) -> None:
    (answer,) = visit(kind, "/fail")
    assert answer.status == 500
    (span,) = server_spans(trace)
    assert span.status_code is StatusCode.ERROR
    assert span.attributes["http.response.status_code"] == 500
    assert span.attributes["error.type"] == "LookupError"
    stack = str(span.events[0].attributes["exception.stacktrace"])
    assert "no such lamp" in stack


@every_server
def test_it_lasts_until_the_body_is_closed(trace: Trace, kind: str) -> None:
    (answer,) = visit(kind, "/stream")
    assert answer.body == b"part" * 3
    (span,) = server_spans(trace)
    assert [request and request.id for request in seen] == [answer.headers["x-request-id"]] * 4
    last = trace.named("last step")
    assert last.parent == span.context
    assert span.end_time is not None
    assert last.end_time is not None
    assert last.end_time <= span.end_time
    assert span.attributes["http.response.body.size"] == 12
    assert span.attributes["asynchooks.response.chunks"] == 3
    assert "asynchooks.client_disconnected" not in span.attributes


@every_server
def test_files_and_written_bodies(trace: Trace, kind: str) -> None:
    file, written = visit(kind, "/file", "/write")
    assert len(file.body) == 10_000
    assert written.body == b"written"
    assert len(server_spans(trace)) == 2
    assert server_spans(trace)[1].attributes["http.response.body.size"] == 7


@every_server
def test_requests_at_once_are_apart(trace: Trace, kind: str) -> None:
    seen.clear()
    with serve(kind, application) as port, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda number: get(port, f"/{number}"), range(50)))
    by_id = {answer.headers["x-request-id"]: answer for answer in answers}
    assert len(by_id) == 50
    requests = {request.id: request for request in seen if request is not None}
    assert requests.keys() == by_id.keys()
    work = [span for span in trace.spans if span.name.startswith("work on ")]
    assert len(work) == 50
    for span in work:
        assert span.request is not None
        assert span.name == f"work on {span.request.path}"
        assert span.parent == span.request.span.context
    assert len({span.context.trace_id for span in server_spans(trace)}) == 50


# Without a server: what an application or a server could see of us.


def call(app: Any, environ: dict[str, Any] | None = None) -> tuple[Any, list[Any]]:
    started: list[Any] = []
    environ = dict(environ or {})
    setup_testing_defaults(environ)

    def start_response(*args: Any) -> Any:
        started.append(args)
        return lambda data: None

    return TracedWSGIApplication(app)(environ, start_response), started


def test_what_the_application_gives_is_what_the_server_gets(trace: Trace) -> None:
    body = [b"a", b"b"]
    headers = [("a", "b")]

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", headers)
        return body

    given, started = call(app)
    assert given is body
    assert headers == [("a", "b")]
    assert [name for name, _ in started[0][1]] == ["a", "x-request-id"]
    (span,) = server_spans(trace)
    assert span.attributes["http.response.body.size"] == 2
    assert current_request() is None


def test_wsgi_s_own_validator_finds_nothing(trace: Trace) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("content-type", "text/plain")])
        return (part for part in (b"a", b"b"))

    body, _ = call(validator(app), {"QUERY_STRING": ""})
    body = iter(body)
    assert list(body) == [b"a", b"b"]
    body.close()
    assert len(server_spans(trace)) == 1


def test_an_exception_passes_unchanged(trace: Trace) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        raise LookupError("its own")

    with pytest.raises(LookupError, match="its own") as caught:
        call(app)
    assert [frame.name for frame in traceback.extract_tb(caught.tb)][-2:] == ["call", "app"]
    assert server_spans(trace)[0].attributes["http.response.status_code"] == 500


def test_an_exception_in_the_body_and_one_that_the_application_answers(trace: Trace) -> None:
    def failing(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"a"
        raise LookupError("half way")

    body, _ = call(failing)
    assert next(body) == b"a"
    with pytest.raises(LookupError, match="half way"):
        next(body)
    body.close()

    def answering(environ: Any, start_response: Any) -> Any:
        try:
            raise LookupError("answered")  # noqa: TRY301 -- to be answered
        except LookupError as exc:
            start_response("500 Oh", [], (type(exc), exc, exc.__traceback__))
        return []

    call(answering)
    for span, said in zip(server_spans(trace), ("half way", "answered"), strict=True):
        assert span.status_code is StatusCode.ERROR
        assert span.status_description == said
        assert span.attributes["error.type"] == "LookupError"


def test_what_start_response_is_given(trace: Trace) -> None:
    """By name too, and what the server has to judge, not we."""

    def app(environ: Any, start_response: Any) -> Any:
        write = start_response(
            status="201 Made", response_headers=[("X-Request-Id", "its own")], exc_info=None
        )
        write(b"abc")
        with pytest.raises(TypeError, match="start_response"):
            start_response()
        return []

    _, started = call(app)
    assert started == [("201 Made", [("X-Request-Id", "its own")])]
    (span,) = server_spans(trace)
    assert span.attributes["http.response.status_code"] == 201
    assert span.attributes["http.response.body.size"] == 3


@pytest.mark.parametrize("status", ["fine", "20", "", None, "\N{ARABIC-INDIC DIGIT TWO}00"])
@pytest.mark.parametrize("headers", [None, (("a", "b"),)])
def test_what_is_no_status_and_no_headers_is_the_server_s_to_judge(
    trace: Trace, status: Any, headers: Any
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, headers)
        return []

    _, started = call(app)
    assert started == [(status, headers)]
    (span,) = server_spans(trace)
    assert "http.response.status_code" not in span.attributes


def test_what_is_read_of_an_environ(trace: Trace) -> None:
    environ = {
        "SCRIPT_NAME": "/shop",
        "PATH_INFO": "/lämpe".encode().decode("latin-1"),
        "QUERY_STRING": "q=1",
        "REMOTE_ADDR": "10.0.0.7",
        "SERVER_NAME": "shop",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_USER_AGENT": "curl",
        "HTTP_X_B3_TRACEID": "1" * 32,
        "HTTP_BAGGAGE": "user=7",
    }
    call(lambda environ, start_response: [], environ)
    (span,) = server_spans(trace)
    assert span.attributes == {
        "http.request.method": "GET",
        "url.path": "/shop/lämpe",
        "url.scheme": "http",
        "url.query": "q=1",
        "network.protocol.version": "1.1",
        "server.address": "shop",
        "server.port": 8080,
        "client.address": "10.0.0.7",
        "user_agent.original": "curl",
        "asynchooks.request_id": span.request.id if span.request else None,
    }
    assert span.request is not None
    assert span.request.baggage == {"user": "7"}


def test_a_client_that_goes_away_is_no_error(trace: Trace) -> None:
    closed: list[Request | None] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(current_request())

    body, _ = call(app)
    next(body)
    assert server_spans(trace) == []
    body.close()  # what a server does when it cannot send
    (span,) = server_spans(trace)
    assert span.attributes["asynchooks.client_disconnected"] is True
    assert span.status_code is StatusCode.UNSET
    assert closed == [span.request]


def test_an_environ_that_we_do_not_understand_is_the_application_s_to_judge(
    trace: Trace, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        return ["given"]

    assert TracedWSGIApplication(app)({}, None) == ["given"]  # type: ignore[arg-type] # broken
    assert trace.spans == []
    caplog.clear()

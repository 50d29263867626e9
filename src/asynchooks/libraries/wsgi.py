"""WSGI: where a request begins and ends. It lasts until the server closes the body that the
application has returned, and each step of that body belongs to it. A body that is a list is given
on as it is: servers look at its length and type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks._reporting import report_once
from asynchooks.libraries.calls import step_out
from asynchooks.libraries.incoming import Answer, start_incoming
from asynchooks.tracing import captured_headers, use_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from asynchooks.tracing import Request

    Environ = dict[str, Any]
    StartResponse = Callable[..., Callable[[bytes], object]]
    Application = Callable[[Environ, StartResponse], Iterable[bytes]]

__all__ = ("TracedWSGIApplication",)

_READ = ("HTTP_X_REQUEST_ID", "HTTP_USER_AGENT")
# Without these no format of propagation says anything.
_CARRIERS = frozenset(("HTTP_TRACEPARENT", "HTTP_BAGGAGE", "HTTP_B3", "HTTP_X_B3_TRACEID"))


class TracedWSGIApplication:
    """A WSGI application, each of whose calls is a request of ours."""

    def __init__(self, app: Application) -> None:
        self.app = app

    def __getattr__(self, name: str) -> Any:
        # A server may look at attributes of the application.
        return getattr(self.app, name)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Any:
        try:
            request = _start(environ)
        except Exception:
            report_once("wsgi.start", "asynchooks could not record a request", exc_info=True)
            return self.app(environ, start_response)
        exchange = _Exchange(request, start_response)
        # In whatever context: a thread of a server has that of whoever started it.
        with use_request(request):
            try:
                body = self.app(environ, exchange.start_response)
            except BaseException as exc:
                step_out(exc)
                exchange.answer.fail(exc)
                exchange.answer.finish()
                raise
        if isinstance(body, list | tuple):
            # It is whole already, and nothing of the application runs on.
            for data in body:
                exchange.answer.add(len(data))
            exchange.answer.finish()
            return body
        file_wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(file_wrapper, type) and isinstance(body, file_wrapper):
            return _follow_file(body, exchange)
        return _Body(body, exchange)


class _Exchange:
    """What the application answers to one request."""

    __slots__ = ("_start_response", "answer", "request")

    def __init__(self, request: Request, start_response: StartResponse) -> None:
        self._start_response = start_response
        self.request = request
        self.answer = Answer(request)

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        captured = captured_headers("server_response")
        self.answer.begin(int(status[:3]), _encode(headers) if captured else ())
        if exc_info:
            self.answer.fail(exc_info[1])
        if not any(name.lower() == "x-request-id" for name, _ in headers):
            headers = [*headers, ("x-request-id", self.request.id)]
        write = (
            self._start_response(status, headers, exc_info)
            if exc_info
            else self._start_response(status, headers)
        )

        def counted(data: bytes) -> object:
            self.answer.add(len(data))
            return write(data)

        return counted


class _Body:
    """The body of an answer, whose steps and end belong to its request."""

    def __init__(self, body: Iterable[bytes], exchange: _Exchange) -> None:
        self._body = body
        self._iterator: Iterator[bytes] | None = None
        self._is_whole = False
        self._answer = exchange.answer
        self._request = exchange.request

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with use_request(self._request):
            try:
                if self._iterator is None:
                    self._iterator = iter(self._body)
                data = next(self._iterator)
            except StopIteration:
                self._is_whole = True
                raise
            except BaseException as exc:
                step_out(exc)
                self._answer.fail(exc)
                raise
        self._answer.add(len(data))
        return data

    def close(self) -> None:
        """Called by the server when it is done, also where the client has gone away."""
        if self._iterator is not None and not self._is_whole:
            self._answer.disconnect()
        close = getattr(self._body, "close", None)
        try:
            if close is not None:
                with use_request(self._request):
                    close()
        except BaseException as exc:
            step_out(exc)
            self._answer.fail(exc)
            raise
        finally:
            self._answer.finish()


def _follow_file(body: Any, exchange: _Exchange) -> Any:
    """A file is sent by the server itself, which knows it by its type."""
    close = getattr(body, "close", None)

    def finish() -> None:
        try:
            if close is not None:
                close()
        finally:
            exchange.answer.finish()

    try:
        body.close = finish
    except AttributeError:  # it has no place for it
        exchange.answer.finish()
    return body


def _encode(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _start(environ: Environ) -> Request:
    # Those headers that a request is told by; all of them where one says who called, or is recorded.
    read: Iterable[str] = _READ
    if captured_headers("server_request") or not environ.keys().isdisjoint(_CARRIERS):
        read = [name for name in environ if name.startswith("HTTP_")]
    headers = [(name[5:].replace("_", "-"), environ[name]) for name in read if name in environ]
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    if not path.isascii():  # WSGI hands over the bytes of a path as latin-1
        path = path.encode("latin-1").decode("utf-8", "replace")
    remote = environ.get("REMOTE_ADDR")
    return start_incoming(
        method=environ["REQUEST_METHOD"],
        path=path or "/",
        headers=_encode(headers),
        scheme=environ["wsgi.url_scheme"],
        query=environ.get("QUERY_STRING", ""),
        version=environ.get("SERVER_PROTOCOL", "").removeprefix("HTTP/"),
        server=(environ["SERVER_NAME"], environ["SERVER_PORT"]),
        client=(remote,) if remote else None,
    )

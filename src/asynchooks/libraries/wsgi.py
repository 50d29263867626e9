"""WSGI: where a request begins and ends. It lasts until the server closes the body that the
application has returned, and each step of that body belongs to it. A body that is a list is given
on as it is: servers look at its length and type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks._native import WSGIBody, wsgi_exchange, wsgi_start
from asynchooks._reporting import report_once
from asynchooks.libraries.calls import step_out
from asynchooks.libraries.incoming import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Environ = dict[str, Any]
    StartResponse = Callable[..., Callable[[bytes], object]]
    Application = Callable[[Environ, StartResponse], Iterable[bytes]]

__all__ = ("TracedWSGIApplication",)


class TracedWSGIApplication:
    """A WSGI application, each of whose calls is a request of ours."""

    def __init__(self, app: Application) -> None:
        self.app = app

    def __getattr__(self, name: str) -> Any:
        # A server may look at attributes of the application.
        return getattr(self.app, name)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Any:
        try:
            answer = Answer(wsgi_start(environ))
        except Exception:
            report_once("wsgi.start", "asynchooks could not record a request", exc_info=True)
            return self.app(environ, start_response)
        try:
            body = wsgi_exchange(answer, self.app, environ, start_response)
        except BaseException as exc:
            step_out(exc)
            raise
        is_followed = isinstance(body, WSGIBody | list | tuple)
        return body if is_followed else _follow_file(body, answer)


def _follow_file(body: Any, answer: Answer) -> Any:
    """A file is sent by the server itself, which knows it by its type."""
    close = getattr(body, "close", None)

    def finish() -> None:
        try:
            if close is not None:
                close()
        finally:
            answer.finish()

    try:
        body.close = finish
    except AttributeError:  # it has no place for it
        answer.finish()
    return body

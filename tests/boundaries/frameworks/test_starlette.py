"""Starlette and FastAPI: the rows f01 to f11."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import asynchooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.boundaries.conftest import Run

    Storage = asynchooks.AsyncLocalStorage[str | None]


PACKAGE = Path(asynchooks.__file__).parent
# Where a dependency may end before or after the answer, before it.
IN_FUNCTION: dict[str, Any] = (
    {"scope": "function"} if "scope" in inspect.signature(Depends).parameters else {}
)
learns_by_sending = pytest.mark.skipif(
    "spec_version" not in inspect.getsource(StreamingResponse),
    reason="this Starlette listens for a disconnect, and learns of none by sending",
)


async def get(app: Any, path: str = "/") -> str:
    """What the application answers; no server in between."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


async def receive_nothing() -> Any:
    raise AssertionError("nobody asks")


def endpoint_that_sets(storage: Storage, kind: str) -> Callable[..., Any]:
    """An endpoint, a coroutine or a function, that sets A."""

    async def coroutine(request: object) -> Response:
        storage.enter_with("A")
        return PlainTextResponse("done")

    def function(request: object) -> Response:
        storage.enter_with("A")
        return PlainTextResponse("done")

    return coroutine if kind == "coroutine" else function


class Outer:
    """A plain ASGI middleware: what is seen when the application is through."""

    def __init__(self, app: Any, storage: Storage, seen: list[str | None]) -> None:
        self.app = app
        self.storage = storage
        self.seen = seen

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
        self.seen.append(self.storage.get_store())


class Asking(BaseHTTPMiddleware):
    """What is seen after `call_next`."""

    def __init__(self, app: Any, storage: Storage, seen: list[str | None]) -> None:
        super().__init__(app)
        self.storage = storage
        self.seen = seen

    async def dispatch(self, request: Any, call_next: Any) -> Response:
        response: Response = await call_next(request)
        self.seen.append(self.storage.get_store())
        return response


both_kinds = pytest.mark.parametrize("kind", ["coroutine", "function"])


@both_kinds
def test_f01_base_http_middleware_sees_what_the_endpoint_set(
    engine: None, storage: Storage, run: Run, kind: str
) -> None:
    seen: list[str | None] = []
    app = Starlette(
        routes=[Route("/", endpoint_that_sets(storage, kind))],
        middleware=[Middleware(Asking, storage=storage, seen=seen)],
    )

    assert run(get(app)) == "done"

    assert seen == ["A"]


@both_kinds
def test_f02_what_dispatch_sets_is_seen_in_the_endpoint(
    engine_on_or_off: None, storage: Storage, run: Run, kind: str
) -> None:
    async def dispatch(request: Any, call_next: Any) -> Response:
        storage.enter_with("A")
        response: Response = await call_next(request)
        return response

    async def coroutine(request: object) -> Response:
        return PlainTextResponse(str(storage.get_store()))

    def function(request: object) -> Response:
        return PlainTextResponse(str(storage.get_store()))

    app = Starlette(
        routes=[Route("/", coroutine if kind == "coroutine" else function)],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=dispatch)],
    )

    assert run(get(app)) == "A"


@both_kinds
def test_f03_an_outer_middleware_sees_through_a_base_http_middleware(
    engine: None, storage: Storage, run: Run, kind: str
) -> None:
    seen: list[str | None] = []
    app = Starlette(
        routes=[Route("/", endpoint_that_sets(storage, kind))],
        middleware=[
            Middleware(Outer, storage=storage, seen=seen),
            Middleware(Asking, storage=storage, seen=seen),
            Middleware(Asking, storage=storage, seen=seen),
        ],
    )

    assert run(get(app)) == "done"

    assert seen == ["A", "A", "A"]


@pytest.mark.parametrize("framework", [Starlette, FastAPI])
def test_f04_what_a_function_endpoint_sets_is_seen_around_it(
    engine: None, storage: Storage, run: Run, framework: type[Starlette]
) -> None:
    seen: list[str | None] = []
    app = framework(middleware=[Middleware(Outer, storage=storage, seen=seen)])
    if isinstance(app, FastAPI):

        @app.get("/")
        def endpoint() -> str:
            storage.enter_with("A")
            return "done"
    else:
        app.router.routes.append(Route("/", endpoint_that_sets(storage, "function")))

    assert "done" in run(get(app))

    assert seen == ["A"]


def test_f04_routes_that_were_made_before(storage: Storage, run: Run) -> None:
    """They keep what they were made with; it counts what is in force at the request."""
    seen: list[str | None] = []
    app = Starlette(
        routes=[Route("/", endpoint_that_sets(storage, "function"))],
        middleware=[Middleware(Outer, storage=storage, seen=seen)],
    )

    run(get(app))
    asynchooks.enable()
    run(get(app))
    asynchooks.disable()
    run(get(app))

    assert seen == [None, "A", None]


@both_kinds
def test_f05_what_a_function_dependency_sets_is_seen_in_the_endpoint(
    engine: None, storage: Storage, run: Run, kind: str
) -> None:
    app = FastAPI()

    def dependency() -> None:
        storage.enter_with("A")

    if kind == "coroutine":

        @app.get("/", dependencies=[Depends(dependency)])
        async def coroutine() -> str | None:
            return storage.get_store()
    else:

        @app.get("/", dependencies=[Depends(dependency)])
        def function() -> str | None:
            return storage.get_store()

    assert run(get(app)) == '"A"'


def test_f06_a_function_dependency_that_yields_has_one_context(
    engine: None, storage: Storage, run: Run
) -> None:
    """Also for a plain variable, whose token is good in one context only."""
    app = FastAPI()
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("plain", default="outside")
    seen: list[Any] = []

    def dependency() -> Iterator[str]:
        token = variable.set("inside")
        with storage.use("A"):
            yield "value"
        variable.reset(token)
        seen.append((variable.get(), storage.get_store()))

    class After:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)
            seen.append((variable.get(), storage.get_store()))

    @app.get("/")
    async def endpoint(value: str = Depends(dependency)) -> list[Any]:
        return [value, variable.get(), storage.get_store()]

    app.add_middleware(After)

    assert run(get(app)) == '["value","inside","A"]'

    assert seen == [("outside", None), ("outside", None)]


def test_f06_an_exception_reaches_the_dependency_in_its_context(
    engine: None, storage: Storage, run: Run
) -> None:
    app = FastAPI()
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("plain", default="outside")
    seen: list[Any] = []

    def dependency() -> Iterator[None]:
        token = variable.set("inside")
        try:
            yield
        except ZeroDivisionError as exc:
            seen.append((type(exc), variable.get()))
            raise
        finally:
            variable.reset(token)
            seen.append(variable.get())

    @app.get("/", dependencies=[Depends(dependency)])
    async def endpoint() -> float:
        return 1 / 0

    with pytest.raises(ZeroDivisionError):
        run(get(app))

    assert seen == [(ZeroDivisionError, "inside"), "outside"]


@pytest.mark.parametrize("behind", ["nothing", "BaseHTTPMiddleware"])
def test_f07_a_coroutine_dependency_that_yields_is_seen_in_the_endpoint(
    engine_on_or_off: None, storage: Storage, run: Run, behind: str
) -> None:
    app = FastAPI()
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("plain", default="outside")

    async def dependency() -> AsyncIterator[None]:
        token = variable.set("inside")
        with storage.use("A"):
            yield
        variable.reset(token)

    @app.get("/", dependencies=[Depends(dependency)])
    async def endpoint() -> list[Any]:
        return [variable.get(), storage.get_store()]

    if behind == "BaseHTTPMiddleware":
        app.add_middleware(Asking, storage=storage, seen=[])

    assert run(get(app)) == '["inside","A"]'


def test_f08_a_background_task_after_a_function_endpoint_sees_its_value(
    engine: None, storage: Storage, run: Run
) -> None:
    seen: list[str | None] = []

    def endpoint(request: object) -> Response:
        storage.enter_with("A")
        return PlainTextResponse(
            "done", background=BackgroundTask(lambda: seen.append(storage.get_store()))
        )

    assert run(get(Starlette(routes=[Route("/", endpoint)]))) == "done"

    app = FastAPI()

    @app.get("/")
    def with_tasks(tasks: BackgroundTasks) -> str:
        async def work() -> None:
            seen.append(storage.get_store())

        storage.enter_with("B")
        tasks.add_task(work)
        return "done"

    assert run(get(app)) == '"done"'

    assert seen == ["A", "B"]


@both_kinds
def test_f09_a_background_task_after_a_coroutine_endpoint_sees_its_value(
    engine_on_or_off: None, storage: Storage, run: Run, kind: str
) -> None:
    seen: list[str | None] = []

    async def coroutine() -> None:
        seen.append(storage.get_store())

    def function() -> None:
        seen.append(storage.get_store())

    async def endpoint(request: object) -> Response:
        storage.enter_with("A")
        work = coroutine if kind == "coroutine" else function
        return PlainTextResponse("done", background=BackgroundTask(work))

    assert run(get(Starlette(routes=[Route("/", endpoint)]))) == "done"

    assert seen == ["A"]


def test_f10_a_streamed_function_generator_has_one_context(
    engine: None, storage: Storage, run: Run
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("plain", default="outside")

    def body() -> Iterator[str]:
        token = variable.set("inside")
        with storage.use("A"):
            yield "begin,"
            yield f"{variable.get()},"
            yield f"{storage.get_store()},"
        variable.reset(token)
        yield f"{variable.get()},{storage.get_store()}"

    async def endpoint(request: object) -> Response:
        return StreamingResponse(body())

    app = Starlette(routes=[Route("/", endpoint)])
    assert run(get(app)) == "begin,inside,A,outside,None"


def test_f11_a_streamed_generator_is_closed_in_its_context_when_the_client_goes_away(
    engine: None, storage: Storage, run: Run
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("plain", default="outside")
    seen: list[Any] = []
    trouble: list[Any] = []

    async def body() -> AsyncIterator[str]:
        token = variable.set("inside")
        try:
            with storage.use("A"):
                while True:
                    yield "more"
        finally:
            variable.reset(token)
            seen.append((variable.get(), storage.get_store()))

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, said: trouble.append(said))
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message.get("body"):  # the client goes away, and nobody reads any more
                gone.set()
                await asyncio.get_running_loop().create_future()

        await StreamingResponse(body())({"type": "http", "asgi": {}}, receive, send)
        assert seen == [("outside", None)]

    run(main())

    assert trouble == []


@learns_by_sending
def test_f11_a_generator_that_fails_as_it_is_closed(
    engine: None, storage: Storage, run: Run
) -> None:
    """It is said as asyncio says it, and nobody else hears of it."""
    said: list[Any] = []

    async def body() -> AsyncIterator[str]:
        try:
            yield "more"
        finally:
            raise ValueError("of the application's")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, told: said.append(told))

        async def send(message: Any) -> None:
            if message.get("body"):
                raise BrokenPipeError

        scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
        with pytest.raises(ClientDisconnect):
            await StreamingResponse(body())(scope, receive_nothing, send)

    run(main())

    (told,) = said
    assert str(told["exception"]) == "of the application's"


@learns_by_sending
def test_f11_a_server_that_raises_at_the_broken_connection(
    engine: None, storage: Storage, run: Run
) -> None:
    seen: list[Any] = []

    async def body() -> AsyncIterator[str]:
        try:
            with storage.use("A"):
                yield "more"
        finally:
            seen.append(storage.get_store())

    async def main() -> None:
        async def send(message: Any) -> None:
            if message.get("body"):
                raise BrokenPipeError

        scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
        with pytest.raises(ClientDisconnect):
            await StreamingResponse(body())(scope, receive_nothing, send)
        assert seen == [None]

    run(main())


def frames_of(exc: BaseException) -> list[str]:
    """The files that a traceback goes through, of ours or of the test."""
    files = [frame.filename for frame in traceback.extract_tb(exc.__traceback__)]
    return [name for name in files if Path(name).is_relative_to(PACKAGE) or name == __file__]


def test_no_frame_of_ours_is_in_a_traceback(engine: None, run: Run) -> None:
    def fail() -> float:
        return 1 / 0

    def endpoint(request: object) -> Response:
        fail()
        raise AssertionError

    def dependency() -> Iterator[None]:
        yield
        fail()

    def failing_body() -> Iterator[bytes]:
        yield b"more"
        fail()

    def stream(request: object) -> Response:
        return StreamingResponse(failing_body())

    async def dispatch(request: Any, call_next: Any) -> Response:
        response: Response = await call_next(request)
        return response

    app = FastAPI(middleware=[Middleware(BaseHTTPMiddleware, dispatch=dispatch)])
    app.router.routes += [Route("/endpoint", endpoint), Route("/stream", stream)]
    app.get("/dependency", dependencies=[Depends(dependency, **IN_FUNCTION)])(lambda: None)

    for path, frames in (("/endpoint", 4), ("/stream", 4), ("/dependency", 4)):
        with pytest.raises(ZeroDivisionError) as caught:
            run(get(app, path))
        found = frames_of(caught.value)
        assert found == [__file__] * len(found), path
        assert len(found) >= frames, path


@pytest.mark.parametrize("enabled", [False, True])
def test_what_is_wrapped_is_still_a_coroutine_function(enabled: bool) -> None:
    """Servers ask this of an application."""
    if enabled:
        asynchooks.enable()
    app = BaseHTTPMiddleware(Starlette())
    for call in (app.__call__, StreamingResponse(iter(())).stream_response):
        assert inspect.iscoroutinefunction(call)
    asynchooks.disable()

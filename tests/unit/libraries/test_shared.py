"""What the files of libraries/ share: wrapped calls, summaries of queries, URLs without secrets."""

from __future__ import annotations

import asyncio
import inspect
import traceback
import types
import weakref
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from asynchooks import _reporting
from asynchooks.libraries.calls import traced, unrecorded
from asynchooks.libraries.urls import redact_query, redact_url
from asynchooks.tracing import Span, StatusCode, is_suppressed, set_sink, start_span

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


@pytest.fixture
def ended() -> Iterator[list[Span]]:
    spans: list[Span] = []
    set_sink(spans.append)
    _reporting.forget_reports()
    yield spans
    set_sink(None)


def begin(a: int, *, b: int = 2) -> Span:
    return start_span(f"{a}-{b}")


def function(a: int, *, b: int = 2) -> tuple[int, int]:
    """Its own words."""
    if a < 0:
        raise LookupError("negative")
    return a, b


async def coroutine(a: int, *, b: int = 2) -> tuple[int, int]:
    return function(a, b=b)


def generator(a: int, *, b: int = 2) -> Generator[None, None, tuple[int, int]]:
    yield
    return function(a, b=b)


def call(wrapped: Any, *args: Any, **kwargs: Any) -> Any:
    result = wrapped(*args, **kwargs)
    if inspect.isgenerator(result):
        next(result)
        with pytest.raises(StopIteration) as caught:
            next(result)
        return caught.value.value
    return asyncio.run(result) if inspect.iscoroutine(result) else result


@pytest.mark.parametrize("original", [function, coroutine, generator])
def test_a_call_is_a_span(ended: list[Span], original: Any) -> None:
    wrapped = traced(begin, lambda span, result: span.set_attribute("result", str(result)))(
        original
    )
    assert call(wrapped, 1, b=3) == (1, 3)
    (span,) = ended
    assert span.name == "1-3"
    assert span.attributes == {"result": "(1, 3)"}
    assert inspect.signature(wrapped) == inspect.signature(original)
    assert wrapped.__doc__ == original.__doc__
    assert inspect.iscoroutinefunction(wrapped) == inspect.iscoroutinefunction(original)


@pytest.mark.parametrize("original", [function, coroutine, generator])
def test_an_exception_passes_unchanged_and_without_our_frame(
    ended: list[Span], original: Any
) -> None:
    with pytest.raises(LookupError) as plain:
        call(original, -1)
    with pytest.raises(LookupError) as caught:
        call(traced(begin)(original), -1)
    names = [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert names == [frame.name for frame in traceback.extract_tb(plain.tb)]
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    (span,) = ended
    assert span.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "LookupError"


@pytest.mark.parametrize("original", [function, coroutine, generator])
def test_trouble_of_ours_is_reported_once_and_the_call_goes_through(
    ended: list[Span], original: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError

    for wrapped in (traced(broken)(original), traced(begin, broken, broken)(original)):
        for _ in range(2):
            assert call(wrapped, 1) == (1, 2)
    (record,) = caplog.records
    assert f"could not record a call of {__name__}.{original.__name__}" in record.getMessage()
    assert [span.name for span in ended] == ["1-2", "1-2"]


def changing(headers: dict[str, str]) -> dict[str, str]:
    if headers.pop("fails", None):
        raise LookupError
    return dict(headers)


async def changing_async(headers: dict[str, str]) -> dict[str, str]:
    await asyncio.sleep(0)
    return changing(headers)


@pytest.mark.parametrize("original", [changing, changing_async])
def test_arguments_that_are_changed_are_put_back(ended: list[Span], original: Any) -> None:
    def add(headers: dict[str, str]) -> Span:
        headers["trace"] = "1"
        return start_span("call")

    wrapped = traced(add, None, lambda headers: headers.pop("trace"))(original)
    headers: dict[str, str] = {}
    assert call(wrapped, headers) == {"trace": "1"}
    assert call(wrapped, headers=headers) == {"trace": "1"}
    headers["fails"] = "yes"
    with pytest.raises(LookupError):
        call(wrapped, headers)
    assert headers == {}
    assert len(ended) == 3


def starting(name: str) -> bool:
    start_span(name).end()
    return is_suppressed()


async def starting_async(name: str) -> bool:
    start_span(name).end()
    await asyncio.sleep(0)
    return starting(name)


def starting_generator(name: str) -> Generator[None, None, bool]:
    start_span(name).end()
    yield
    return starting(name)


@pytest.mark.parametrize("original", [starting, starting_async, starting_generator])
def test_what_a_whole_does_inside_is_no_span(ended: list[Span], original: Any) -> None:
    wrapped = traced(start_span, is_whole=True)(original)
    assert call(wrapped, "whole")
    assert [span.name for span in ended] == ["whole"]
    assert call(unrecorded(original), "own business")
    assert [span.name for span in ended] == ["whole"]
    assert not is_suppressed()
    nothing = traced(lambda name: None, is_whole=True)(original)
    assert not call(nothing, "not a whole")
    assert {span.name for span in ended} == {"whole", "not a whole"}


class TestACoroutineFunctionS:
    """Its call, as whoever holds it sees it: as the coroutine that it makes without us."""

    def test_call_is_a_coroutine(self, ended: list[Span]) -> None:
        made = traced(begin)(coroutine)(1)
        assert inspect.iscoroutine(made)
        assert isinstance(made, types.CoroutineType)
        assert isinstance(made, Coroutine)
        assert asyncio.iscoroutine(made)
        assert inspect.getcoroutinestate(made) == inspect.CORO_CREATED
        assert (made.__name__, made.__qualname__) == ("coroutine", "coroutine")
        assert made.cr_code is coroutine.__code__
        assert repr(made).startswith("<coroutine object coroutine at")
        assert weakref.ref(made)() is made
        asyncio.run(made)
        assert inspect.getcoroutinestate(made) == inspect.CORO_CLOSED
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            made.send(None)
        assert len(ended) == 1

    def test_generator_is_a_generator(self, ended: list[Span]) -> None:
        made = traced(begin)(generator)(1)
        assert inspect.isgenerator(made)
        assert inspect.getgeneratorstate(made) == inspect.GEN_CREATED
        next(made)
        assert ended == []
        made.close()
        assert inspect.getgeneratorstate(made) == inspect.GEN_CLOSED
        assert list(made) == []

        def delegate() -> Generator[Any, None, Any]:
            return (yield from made)

        assert list(delegate()) == []
        (span,) = ended
        assert span.attributes["error.type"] == "GeneratorExit"

    def test_call_starts_in_an_anyio_group(self, ended: list[Span]) -> None:
        async def main() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(traced(begin)(coroutine), 1)

        asyncio.run(main())
        assert len(ended) == 1

    def test_call_that_nobody_awaits_is_told_of_and_is_no_span(self, ended: list[Span]) -> None:
        with pytest.warns(RuntimeWarning, match="coroutine 'coroutine' was never awaited"):
            traced(begin)(coroutine)(1)
        assert ended == []

    def test_call_that_is_cancelled_before_it_begins_is_no_span(self, ended: list[Span]) -> None:
        made = traced(begin)(coroutine)(1)
        with pytest.raises(asyncio.CancelledError):
            made.throw(asyncio.CancelledError())
        closed = traced(begin)(coroutine)(1)
        closed.close()
        assert ended == []

    def test_call_ends_its_span_where_it_is_cancelled(self, ended: list[Span]) -> None:
        async def wait(a: int) -> None:
            await asyncio.Event().wait()

        async def main() -> None:
            task = asyncio.create_task(traced(begin)(wait)(1))
            await asyncio.sleep(0)
            assert task.get_stack()[-1].f_code is wait.__code__
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        (span,) = ended
        assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=lamp&page=2", "q=lamp&page=2"),
        ("token=abc&q=1", "token=REDACTED&q=1"),
        ("access_token=abc", "access_token=REDACTED"),
        ("accessToken=abc", "accessToken=REDACTED"),
        ("X-Amz-Signature=abc&X-Amz-Date=1", "X-Amz-Signature=REDACTED&X-Amz-Date=1"),
        ("api_key=abc", "api_key=REDACTED"),
        ("apikey=abc", "apikey=REDACTED"),
        ("APIKey=abc", "APIKey=REDACTED"),
        ("code=abc&state=open", "code=REDACTED&state=open"),
        ("keyword=lamp&monkey=1&country_code=de", "keyword=lamp&monkey=1&country_code=de"),
        ("password=a=b", "password=REDACTED"),
        ("token=", "token="),
        ("token", "token"),
        ("", ""),
    ],
)
def test_secrets_in_a_query_string(query: str, expected: str) -> None:
    assert redact_query(query) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://rates/quotes/1?q=a", "http://rates/quotes/1?q=a"),
        ("https://ada:secret@rates:8443/a", "https://rates:8443/a"),
        ("http://rates/?sig=abc#part", "http://rates/?sig=REDACTED"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
    ],
)
def test_secrets_in_a_url(url: str, expected: str) -> None:
    assert redact_url(url) == expected

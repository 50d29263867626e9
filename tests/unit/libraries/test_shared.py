"""What the files of libraries/ share: wrapped calls, summaries of queries, URLs without secrets."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from asynchooks import _reporting
from asynchooks.libraries.calls import traced
from asynchooks.libraries.urls import redact_query, redact_url
from asynchooks.tracing import Span, StatusCode, set_sink, start_span

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
    assert all("could not record a call" in record.getMessage() for record in caplog.records)
    assert len(caplog.records) == 2
    assert [span.name for span in ended] == ["1-2", "1-2"]


def test_arguments_that_are_changed_are_put_back(ended: list[Span]) -> None:
    def add(headers: dict[str, str]) -> Span:
        headers["trace"] = "1"
        return start_span("call")

    def send(headers: dict[str, str]) -> dict[str, str]:
        if not headers:
            raise LookupError
        return dict(headers)

    wrapped = traced(add, None, lambda headers: headers.pop("trace"))(send)
    headers: dict[str, str] = {}
    assert wrapped(headers) == {"trace": "1"}
    assert headers == {}


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

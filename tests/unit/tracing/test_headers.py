"""Baggage, B3, and which formats are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynchooks.tracing import (
    SpanContext,
    current_baggage,
    extract,
    inject,
    set_propagators,
    use_baggage,
)
from asynchooks.tracing.baggage import format_baggage, parse_baggage
from asynchooks.tracing.propagation import DEFAULT_PROPAGATORS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONTEXT = SpanContext(0xABC, 0xDEF, 1, "a=b")
TRACE, SPAN = f"{0xABC:032x}", f"{0xDEF:016x}"


@pytest.fixture(autouse=True)
def default_propagators() -> Iterator[None]:
    yield
    set_propagators(DEFAULT_PROPAGATORS)


def read(headers: Mapping[str, str]) -> tuple[SpanContext | None, Mapping[str, str]]:
    return extract(lambda name: headers.get(name, ""))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        (" a = 1 ,b=2;ttl=3;x, c=%20x%2C%C3%A4", {"a": "1", "b": "2", "c": " x,ä"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=", {"a": ""}),
        ("no value,=no key,a b=2,ä=1,ok=1", {"ok": "1"}),
        ("a=1,a=2", {"a": "2"}),
        (",".join(f"k{n}=v" for n in range(100)), {f"k{n}": "v" for n in range(64)}),
    ],
)
def test_baggage_is_read(header: str, expected: dict[str, str]) -> None:
    assert parse_baggage(header) == expected


def test_baggage_is_written() -> None:
    assert format_baggage({}) == ""
    assert (
        format_baggage({"a": 'x y,;\\"%ä', "number": 1}) == "a=x%20y%2C%3B%5C%22%25%C3%A4,number=1"
    )
    assert format_baggage({"bad key": "1", "": "2"}) == ""
    assert format_baggage({f"k{n}": "v" for n in range(100)}).count(",") == 63
    assert len(format_baggage({f"k{n}": "v" * 1000 for n in range(10)})) <= 8192


@given(st.dictionaries(st.from_regex(r"[a-z-]+", fullmatch=True), st.text(max_size=20), max_size=9))
def test_baggage_that_is_written_reads_back(values: dict[str, str]) -> None:
    encodable = {key: value.encode("utf-8", "ignore").decode() for key, value in values.items()}
    assert parse_baggage(format_baggage(encodable)) == encodable


@given(st.text())
def test_no_baggage_makes_it_fail(header: str) -> None:
    parse_baggage(header)


def test_baggage_is_in_force_inside() -> None:
    with use_baggage({"a": "1"}), use_baggage({"b": "2"}):
        assert current_baggage() == {"a": "1", "b": "2"}
    assert current_baggage() == {}


def test_by_default_w3c_s() -> None:
    with use_baggage({"tenant": "x"}):
        headers = inject(CONTEXT)
    assert headers == {
        "traceparent": f"00-{TRACE}-{SPAN}-01",
        "tracestate": "a=b",
        "baggage": "tenant=x",
    }
    assert read(headers) == (CONTEXT._replace(is_remote=True), {"tenant": "x"})
    assert read({}) == (None, {})


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["b3"], {"b3": f"{TRACE}-{SPAN}-1"}),
        (
            ["b3multi"],
            {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1"},
        ),
        (["baggage"], {"baggage": "a=1"}),
        (["b3", "baggage"], {"b3": f"{TRACE}-{SPAN}-1", "baggage": "a=1"}),
        ([], {}),
    ],
)
def test_others_by_their_names(names: list[str], expected: dict[str, str]) -> None:
    set_propagators(names)
    with use_baggage({"a": "1"}):
        headers = inject(CONTEXT)
    assert headers == expected
    context, baggage = read(headers)
    assert (context is not None) is any(name.startswith("b3") for name in names)
    assert bool(baggage) is ("baggage" in names)
    if context is not None:
        assert context == (0xABC, 0xDEF, 1, "", True)


@pytest.mark.parametrize(
    ("headers", "sampled"),
    [
        ({"b3": f"{TRACE}-{SPAN}-1"}, 1),
        ({"b3": f"{TRACE}-{SPAN}-d"}, 1),
        ({"b3": f"{TRACE}-{SPAN}-0-{SPAN}"}, 0),
        ({"b3": f"{TRACE}-{SPAN}"}, 0),
        ({"b3": f"{TRACE[16:]}-{SPAN}-1"}, 1),
        ({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "true"}, 1),
        ({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-flags": "1"}, 1),
        ({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "0"}, 0),
        ({"b3": "0"}, None),
        ({"b3": "garbage"}, None),
        ({"b3": f"{'0' * 32}-{SPAN}-1"}, None),
        ({"b3": f"{TRACE}-{'0' * 16}-1"}, None),
        ({"b3": f"{TRACE}x-{SPAN}-1"}, None),
        ({"x-b3-traceid": TRACE}, None),
    ],
)
@pytest.mark.parametrize("name", ["b3", "b3multi"])
def test_b3_is_read_in_both_forms(name: str, headers: dict[str, str], sampled: int | None) -> None:
    set_propagators([name])
    context, _ = read(headers)
    assert (None if context is None else context.trace_flags) == sampled


def test_the_last_format_that_names_a_span_counts() -> None:
    headers = {"traceparent": f"00-{1:032x}-{2:016x}-01", "b3": f"{TRACE}-{SPAN}-1"}
    set_propagators(["tracecontext", "b3"])
    context, _ = read(headers)
    assert context is not None
    assert context.trace_id == 0xABC
    del headers["b3"]
    context, _ = read(headers)
    assert context is not None
    assert context.trace_id == 1

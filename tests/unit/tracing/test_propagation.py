"""W3C Trace Context: the cases of its specification and test suite."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynchooks.tracing import SpanContext, extract_traceparent, format_traceparent

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


def test_a_valid_header() -> None:
    context = extract_traceparent(
        f"00-{TRACE}-{SPAN}-01", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    )
    assert context == SpanContext(
        int(TRACE, 16), int(SPAN, 16), 1, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", is_remote=True
    )


@pytest.mark.parametrize(
    "header",
    [
        f" 00-{TRACE}-{SPAN}-01\t",
        f"00-{TRACE}-{SPAN}-00",
        f"00-{TRACE}-{SPAN}-ff",
        f"01-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
    ],
)
def test_headers_that_hold(header: str) -> None:
    context = extract_traceparent(header)
    assert context is not None
    assert (context.trace_id, context.span_id) == (int(TRACE, 16), int(SPAN, 16))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01.",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-0x",
        "00-" + "\N{ARABIC-INDIC DIGIT ONE}" * 32 + f"-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_headers_that_do_not_hold(header: str) -> None:
    assert extract_traceparent(header) is None


def test_a_long_tracestate_is_left_behind() -> None:
    context = extract_traceparent(f"00-{TRACE}-{SPAN}-01", "a=" + "b" * 600)
    assert context is not None
    assert context.trace_state == ""


@given(st.integers(1, (1 << 128) - 1), st.integers(1, (1 << 64) - 1), st.integers(0, 3))
def test_what_is_written_reads_back(trace_id: int, span_id: int, flags: int) -> None:
    read = extract_traceparent(format_traceparent(SpanContext(trace_id, span_id, flags)))
    assert read is not None
    assert (read.trace_id, read.span_id, read.trace_flags) == (trace_id, span_id, flags)


@given(st.text())
def test_no_header_makes_it_fail(header: str) -> None:
    extract_traceparent(header, header)

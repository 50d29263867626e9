"""The filter box."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.viewer.conftest import Export

from asynchooks.viewer.errors import BadRequestError
from asynchooks.viewer.filters import parse_filter

if TYPE_CHECKING:
    from tests.viewer.conftest import Viewer


def fill(viewer: Viewer) -> None:
    shop = Export()
    shop.server("/orders", trace=1, duration=5_000_000)
    root = shop.server("/orders/{order_id}", trace=2, duration=50_000_000, url__path="/orders/7")
    for _ in range(3):
        shop.query("SELECT 1", parent=root, trace=2)
    shop.server("/products", trace=3, status=500, duration=2_000_000_000, enduser__id="ada")
    shop.server("/100%_sure", trace=4, status=404, asynchooks__request_id="abc 1")
    viewer.send(shop)


@pytest.mark.parametrize(
    ("text", "traces"),
    [
        ("", {1, 2, 3, 4}),
        ("   ", {1, 2, 3, 4}),
        ("orders", {1, 2}),
        ("ORDERS", {1, 2}),
        ("orders/7", {2}),
        ("-orders", {3, 4}),
        ("route:{order_id}", {2}),
        ("path:/orders/7", {2}),
        ("method:get", {1, 2, 3, 4}),
        ("method:POST", set()),
        ("status:500", {3}),
        ("status:>=400", {3, 4}),
        ("status:<400", {1, 2}),
        ("-status:>=400", {1, 2}),
        ("duration:>1s", {3}),
        ("duration:>=50ms", {2, 3}),
        ("duration:<6", {1, 4}),
        ("queries:>2", {2}),
        ("queries:3", {2}),
        ("errors:>0", set()),
        ("error", {3}),
        ("-error", {1, 2, 4}),
        ("user:ada", {3}),
        ("service:shop", {1, 2, 3, 4}),
        ("id:r2", {2}),
        (f"id:{3:032X}", {3}),
        ('id:"abc 1"', {4}),
        ("%", {4}),
        ("_sure", {4}),
        ("100%_", {4}),
        ("orders queries:>0", {2}),
        ("'", set()),
        ("-", set()),
        ("http://x", set()),
    ],
)
def test_filters(viewer: Viewer, text: str, traces: set[int]) -> None:
    fill(viewer)
    found = {int(row["trace_id"], 16) for row in viewer.requests(filter=text)}
    assert found == traces


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour:red", "`colour:` is not something to filter by; there are method, route"),
        ("status:many", "'many' is not a number to compare with, like >=5"),
        ("duration:>slow", "like >100ms"),
        ("status:>5ms", "is not a number"),
        ("status:", "`status:` has no value"),
        ('"open', "is open in the filter"),
        ("word " * 2000, "the filter has 2000 words, more than 100"),
    ],
)
def test_what_is_no_filter(viewer: Viewer, text: str, message: str) -> None:
    answer = viewer.get("/api/requests", params={"filter": text})
    assert answer.status_code == 400
    assert message in answer.json()["error"]


@given(st.text())
def test_no_text_makes_it_fail(text: str) -> None:
    try:
        sql, parameters = parse_filter(text)
    except BadRequestError as exc:
        assert str(exc)  # noqa: PT017 -- either is fine, any other exception is not
    else:
        assert sql.count("?") == len(parameters)
        assert "'" not in sql.replace(r"ESCAPE '\'", "")

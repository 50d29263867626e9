"""The main promise: each query, call and log line is found under the request that caused it, and
under no other; and the service behaves as it does without us."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Shop, Starter, Viewer

pytestmark = pytest.mark.slow

REQUESTS = 500
AT_ONCE = 50
CARRIERS = ("parrot", "swift", "snail")
# What a transaction needs, and no handler wrote.
TRANSACTIONS = ("BEGIN", "COMMIT", "ROLLBACK")


@dataclass
class Visit:
    """One request, and what it has to cause in the services."""

    path: str
    json: dict[str, Any] | None = None
    status: int = 200
    queries: int = 0
    calls: int = 0
    logs: int = 0
    failed_queries: int = 0
    request_id: str = ""
    tag: str = ""
    answer: httpx.Response = field(init=False)


def visits(database: Path) -> list[Visit]:
    """500 requests of every kind, each with its own id and its own mark in the SQL text."""
    with closing(sqlite3.connect(database)) as connection:
        orders_of = dict(
            connection.execute("SELECT customer_id, count(*) FROM orders GROUP BY customer_id")
        )
    made = []
    for number in range(REQUESTS):
        order = 1 + number % 160
        customer = 1 + number % 20
        product = 1 + number % 12
        item = {"product_id": product, "quantity": 1}
        two = [item, {**item, "product_id": 14}]
        kinds = (
            Visit("/products?words=lamp", queries=1, logs=1),
            Visit(f"/products/{product}", queries=3),
            Visit("/products/999", status=404, queries=1, logs=1),
            # The planted N+1: the list, then the order and its items for each.
            Visit(f"/orders?customer_id={customer}", queries=1 + 2 * orders_of[customer], logs=1),
            Visit(f"/orders/{order}", queries=2),
            # Two queries, two more and a log line in the background.
            Visit("/orders", _order(item), status=201, queries=4 + 2, logs=2),
            Visit("/orders", _order(*two), status=201, queries=6 + 2, logs=2),
            # The planted bug: the third statement breaks the constraint.
            Visit(
                "/orders",
                _order({"product_id": 13, "quantity": 900}),
                status=500,
                queries=3,
                failed_queries=1,
            ),
            # Three calls at once, each with a log line here and one in the other service.
            Visit(f"/orders/{order}/shipping", queries=1, calls=3, logs=6),
            # Both of these query and log in a thread.
            Visit(f"/orders/{order}/invoice", queries=1, logs=1),
            Visit("/reports/countries", queries=1, logs=1),
        )
        visit = kinds[number % len(kinds)]
        visit.request_id = f"request-{number:04}"
        visit.tag = f"mark-{number:04}"
        made.append(visit)
    return made


def _order(*items: dict[str, int]) -> dict[str, Any]:
    return {"customer_id": 3, "items": list(items)}


async def send_all(url: str, planned: list[Visit]) -> None:
    """Send them, 50 at a time."""
    waiting = iter(planned)

    async def customer(client: httpx.AsyncClient) -> None:
        for visit in waiting:
            headers = {"x-request-id": visit.request_id, "x-query-tag": visit.tag}
            if visit.status >= 500:
                # uvicorn closes a connection whose application raised, and says so to nobody.
                headers["connection"] = "close"
            method = "GET" if visit.json is None else "POST"
            visit.answer = await client.request(
                method, visit.path, json=visit.json, headers=headers
            )

    limits = httpx.Limits(max_connections=AT_ONCE)
    async with (
        httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client,
        asyncio.TaskGroup() as customers,
    ):
        for _ in range(AT_ONCE):
            customers.create_task(customer(client))


def marks(text: str) -> set[str]:
    """Every mark that stands in `text`."""
    return {"mark-" + rest[:4] for rest in text.split("mark-")[1:]}


@pytest.mark.parametrize(
    ("loop", "logs"), [("asyncio", "none"), ("asyncio", "otlp"), ("uvloop", "none")]
)
def test_everything_is_found_under_its_request(
    start: Starter, viewer: Viewer, loop: str, logs: str
) -> None:
    shop = start.shop("--loop", loop, viewer=viewer, OTEL_LOGS_EXPORTER=logs)
    planned = visits(shop.database)
    asyncio.run(send_all(shop.url, planned))
    for visit in planned:
        assert visit.answer.status_code == visit.status, visit
        assert visit.answer.headers["x-request-id"] == visit.request_id
    expected = sum(visit.queries for visit in planned)
    shop.shop.wait_until(
        lambda: sum(one["queries"] for one in viewer.requests()) >= expected,
        f"the viewer has {expected} queries",
    )
    shop.stop()

    assert viewer.dropped() == 0
    requests = viewer.requests()
    by_id = {one["request_id"]: one for one in requests if one["service"] == "shop"}
    for visit in planned:
        check_trace(visit, by_id[visit.request_id], viewer)
    # What is under a wrong request would have been seen. Nor is anything outside of all of them.
    checked = {by_id[visit.request_id]["trace_id"] for visit in planned}
    others = {one["trace_id"] for one in requests} - checked
    assert not [trace for trace in others if "mark-" in str(viewer.spans(trace))]


def check_trace(visit: Visit, summary: dict[str, Any], viewer: Viewer) -> None:
    """One request in the viewer has all that it caused, once, and nothing else's."""
    spans = viewer.spans(summary["trace_id"])
    assert marks(str(spans)) == {visit.tag}
    statements = [span["attributes"]["db.query.text"] for span in spans if span["is_query"]]
    written = [text for text in statements if text.split()[0] not in TRANSACTIONS]
    assert all(visit.tag in text for text in written), (visit, written)
    assert len(written) == visit.queries, (visit, written)
    calls = [span["attributes"]["url.full"] for span in spans if span["is_call"]]
    assert Counter(url.split("/")[4] for url in calls) == Counter(CARRIERS[: visit.calls])
    assert all(visit.tag in url for url in calls), calls
    lines = [
        event["attributes"]["log.message"]
        for span in spans
        for event in span["events"]
        if event["name"] == "log"
        and event["attributes"]["log.logger"].partition(".")[0] in ("shop", "rates")
    ]
    assert len(lines) == visit.logs, (visit, lines)
    assert all(visit.tag in line for line in lines), lines
    failed = [span for span in spans if span["is_query"] and span["status"] == 2]
    assert len(failed) == visit.failed_queries
    assert all(span["attributes"]["error.type"] for span in failed)
    assert summary["status"] == visit.status
    assert summary["error"] == (visit.status >= 500)


def test_the_service_behaves_the_same_without_us(start: Starter, viewer: Viewer) -> None:
    traced = start.shop(viewer=viewer)
    plain = start.shop(viewer=None)
    assert conversation(traced) == conversation(plain)


def conversation(shop: Shop) -> list[tuple[int, list[tuple[str, str]], str]]:
    """The answers to one request of each kind, one after the other, and to some that are wrong."""
    planned = visits(shop.database)[:11]
    planned += [
        Visit("/nowhere"),
        Visit("/orders/none"),
        Visit("/orders", {"customer_id": 1, "items": []}),
        Visit("/orders/9999/shipping"),
        Visit("/openapi.json"),
    ]
    answers = []
    # uvicorn closes a connection whose application raised: each request has its own.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=shop.url, timeout=60, limits=limits) as client:
        for visit in planned:
            method = "GET" if visit.json is None else "POST"
            answer = client.request(method, visit.path, json=visit.json)
            headers = [
                (name, value)
                for name, value in answer.headers.multi_items()
                if name not in ("x-request-id", "date")
            ]
            answers.append((answer.status_code, headers, answer.text))
    return answers

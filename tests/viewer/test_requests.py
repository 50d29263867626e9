"""From spans to requests: counted under the right one, in whatever order they come."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from tests.viewer.conftest import CLIENT, Export

if TYPE_CHECKING:
    from tests.viewer.conftest import Viewer


def exports_of_one_trace() -> list[Export]:
    """A request with a task, a query in it, a call to another service, and a query there."""
    shop, rates = Export("shop"), Export("rates", pid=2)
    root = shop.server("/orders")
    task = shop.span("task", parent=root)
    shop.query("SELECT 1", parent=task)
    call = shop.span("GET", kind=CLIENT, parent=task, http__request__method="GET")
    inner = rates.server("/quotes", parent=call)
    rates.query("SELECT 2", parent=inner)
    rates.query("SELECT 3", parent=inner, error="locked")
    # One export for each span, so that they can come in any order.
    exports = []
    for whole in (shop, rates):
        spans_of = whole.request.resource_spans[0].scope_spans[0].spans
        for span in spans_of:
            one = Export("shop", pid=1) if whole is shop else Export("rates", pid=2)
            one.request.resource_spans[0].scope_spans[0].spans.append(span)
            exports.append(one)
    return exports


def facts(request: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(
        request[key] for key in ("service", "route", "spans", "queries", "calls", "errors", "error")
    )


EXPECTED = {
    ("shop", "/orders", 4, 1, 1, 0, False),
    ("rates", "/quotes", 3, 2, 0, 1, False),
}


def test_each_server_span_is_a_request(viewer: Viewer) -> None:
    viewer.send(*exports_of_one_trace())
    assert {facts(request) for request in viewer.requests()} == EXPECTED
    trace = viewer.trace()
    assert len(trace["requests"]) == 2
    assert len(trace["spans"]) == 7


@pytest.mark.parametrize("seed", range(30))
def test_in_any_order(viewer: Viewer, seed: int) -> None:
    exports = exports_of_one_trace()
    order = next(itertools.islice(itertools.permutations(exports), seed * 167, None))
    viewer.send(*order)
    assert {facts(request) for request in viewer.requests()} == EXPECTED
    assert not any(request["pending"] for request in viewer.requests())


def test_what_comes_twice_is_counted_once(viewer: Viewer) -> None:
    exports = exports_of_one_trace()
    viewer.send(*exports, *exports)
    assert {facts(request) for request in viewer.requests()} == EXPECTED


def test_while_the_root_has_not_come_the_trace_is_pending(viewer: Viewer) -> None:
    root, query = Export(), Export()
    root_id = root.server("/orders")
    query.query("SELECT 1", parent=root_id)
    viewer.send(query)
    assert viewer.request()["pending"]
    viewer.send(root)
    request = viewer.request()
    assert not request["pending"]
    assert (request["route"], request["queries"]) == ("/orders", 1)


def test_a_trace_without_a_server_span_is_shown_by_its_root(viewer: Viewer) -> None:
    job = Export("job")
    root = job.span("nightly", duration=9)
    job.query("SELECT 1", parent=root)
    viewer.send(job)
    request = viewer.request()
    assert (request["route"], request["method"], request["status"]) == ("nightly", "", None)
    assert (request["duration_ns"], request["queries"]) == (9, 1)


def test_spans_that_are_each_other_s_parents_do_not_hang_it(viewer: Viewer) -> None:
    export = Export()
    first = export.span("first")
    second = export.span("second", parent=first)
    export.request.resource_spans[0].scope_spans[0].spans[0].parent_span_id = second.to_bytes(
        8, "big"
    )
    viewer.send(export)
    assert viewer.request()["spans"] == 2


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [(200, "", False), (404, "", False), (500, "", True), (200, "broken", True)],
)
def test_what_counts_as_failed(viewer: Viewer, status: int, error: str, expected: bool) -> None:
    export = Export()
    export.server(status=status, error=error)
    viewer.send(export)
    assert viewer.request()["error"] is expected


def test_attributes_of_older_conventions(viewer: Viewer) -> None:
    """As other instrumentations still send them."""
    export = Export()
    root = export.span(
        "GET /old", kind=2, http__method="GET", http__target="/old", http__status_code=503
    )
    export.span("SELECT", kind=CLIENT, parent=root, db__system="postgresql")
    export.span("GET", kind=CLIENT, parent=root, http__method="GET")
    viewer.send(export)
    request = viewer.request()
    assert (request["method"], request["path"], request["status"]) == ("GET", "/old", 503)
    assert (request["queries"], request["calls"], request["error"]) == (1, 1, True)


def test_log_lines_are_counted(viewer: Viewer) -> None:
    export = Export()
    export.server()
    span = export.request.resource_spans[0].scope_spans[0].spans[0]
    span.events.add(name="log", time_unix_nano=5)
    span.events.add(name="exception", time_unix_nano=6)
    viewer.send(export)
    assert viewer.request()["logs"] == 1
    events = viewer.trace()["spans"][0]["events"]
    assert [(event["name"], event["time"]) for event in events] == [
        ("log", "5"),
        ("exception", "6"),
    ]


def test_one_trace_in_full(viewer: Viewer) -> None:
    export = Export()
    root = export.server("/orders", start=1_700_000_000_000_000_123, duration=7)
    query = export.query("SELECT 1", parent=root, code__line__number=12, error="locked")
    span = export.request.resource_spans[0].scope_spans[0].spans[1]
    span.links.add(trace_id=b"\x01" * 16, span_id=b"\x02" * 8)
    viewer.send(export)
    trace = viewer.trace()
    assert trace["trace_id"] == f"{1:032x}"
    first, second = sorted(trace["spans"], key=lambda span: span["span_id"])
    assert first["parent_span_id"] is None
    assert (first["start"], first["duration_ns"]) == ("1700000000000000123", 7)
    assert second["span_id"] == f"{query:016x}"
    assert second["parent_span_id"] == f"{root:016x}"
    assert (second["is_query"], second["is_call"]) == (True, False)
    assert (second["status"], second["message"]) == (2, "locked")
    assert second["attributes"]["code.line.number"] == 12
    assert second["links"][0]["trace_id"] == "01" * 16


@pytest.mark.parametrize(
    ("trace_id", "status", "message"),
    [
        ("0" * 31 + "9", 404, "no trace"),
        ("nonsense", 400, "32 hex digits"),
        ("1" * 31, 400, "32 hex digits"),
    ],
)
def test_a_trace_that_is_not_there(
    viewer: Viewer, trace_id: str, status: int, message: str
) -> None:
    answer = viewer.get(f"/api/requests/{trace_id}")
    assert answer.status_code == status
    assert message in answer.json()["error"]


def fill(viewer: Viewer, count: int) -> None:
    export = Export()
    for number in range(1, count + 1):
        export.server(f"/{number}", trace=number, start=number)
    viewer.send(export)


def test_newest_first_and_page_by_page(viewer: Viewer) -> None:
    fill(viewer, 25)
    first = viewer.requests(limit=10)
    second = viewer.requests(limit=10, before=first[-1]["id"])
    third = viewer.requests(limit=10, before=second[-1]["id"])
    assert [row["route"] for row in first + second + third] == [f"/{n}" for n in range(25, 0, -1)]
    assert viewer.requests(limit=10, before=third[-1]["id"]) == []


def test_a_page_has_a_largest_size(viewer: Viewer) -> None:
    fill(viewer, 510)
    assert len(viewer.requests(limit=100_000)) == 500
    assert len(viewer.requests()) == 100
    assert len(viewer.requests(limit=0)) == 1


@pytest.mark.parametrize("parameter", ["limit=ten", "limit=-1", "before=x", "before=" + "9" * 30])
def test_numbers_that_are_none(viewer: Viewer, parameter: str) -> None:
    answer = viewer.get(f"/api/requests?{parameter}")
    assert answer.status_code == 400
    assert "expected a number" in answer.json()["error"]


def test_what_processes_dropped_is_summed_by_their_last_word(viewer: Viewer) -> None:
    for pid, dropped in ((1, 3), (2, 4), (1, 5)):
        export = Export(pid=pid, asynchooks__dropped_spans=dropped)
        export.server()
        viewer.send(export)
    health = viewer.get("/api/health").json()
    assert health["service"] == "asynchooks-viewer"
    assert health["dropped"] == 9
    # The list speaks of those whose requests it shows.
    assert viewer.get("/api/requests", params={"limit": 1}).json()["dropped"] == 5
    assert viewer.get("/api/requests", params={"filter": "nothing"}).json()["dropped"] == 0

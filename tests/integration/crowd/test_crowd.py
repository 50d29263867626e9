"""Two thousand requests at once, over everything that they share: what each has made is found under
it, once, and under no other. crowd.py says what they do."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.conftest import ASYNCHOOKS, answers, free_port
from tests.integration.crowd.conftest import CROWD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.conftest import Process, Starter

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
# The second one finds pools that have been used, and connections that are kept.
CROWDS = 2
# Each loop with another of uvicorn's ways to read HTTP.
HTTP = {"asyncio": "h11", "uvloop": "httptools"}
MARK = re.compile(r"(?:mark|shared)-\d+")
# By kind, how many tasks of its own a visit has.
TASKS = {
    "many_at_once": 3,
    "left_while_it_is_streamed": 1,
    "cancelled": 1,
    "after_the_answer": 1,
}
# What a transaction needs, and no handler wrote.
HOUSEKEEPING = re.compile(r"(BEGIN|COMMIT|ROLLBACK)\b")
# What a span says whose parent was over when it began.
AFTERWARDS = {"asynchooks.background", "asynchooks.outlives_parent"}


# The client.


async def visit(port: int, first: int) -> list[bytes]:
    """Visit with each crowd, over one connection as far as that is kept. Gives the statuses."""
    statuses = []
    connection = None
    for number in range(first, CROWDS * CROWD, CROWD):
        reader, writer = connection or await asyncio.open_connection("127.0.0.1", port)
        lines = (f"GET /visit/{number} HTTP/1.1", "host: crowd", f"x-request-id: id-{number:04}")
        writer.write("\r\n".join((*lines, "", "")).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        statuses.append(head.split()[1])
        connection = reader, writer
        if b"x-leave: now" in head:
            await reader.readuntil(b"part")
            writer.transport.abort()
            connection = None
        elif b"transfer-encoding: chunked" in head:
            await reader.readuntil(b"\r\n0\r\n\r\n")
        else:
            _, _, length = head.partition(b"content-length: ")
            await reader.readexactly(int(length.split()[0]))
            if statuses[-1] == b"500":  # uvicorn closes it, and says so to nobody
                writer.close()
                connection = None
    if connection is not None:
        connection[1].close()
    return statuses


async def visit_all(port: int) -> list[bytes]:
    visits = await asyncio.gather(*(visit(port, first) for first in range(CROWD)))
    return [status for statuses in visits for status in statuses]


def ask(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=120) as answer:
        return json.load(answer)


# What was recorded.


class Span:
    """A span, as the file has it."""

    def __init__(self, service: str, written: dict[str, Any]) -> None:
        self.service = service
        self.name: str = written["name"]
        self.trace_id: str = written["traceId"]
        self.id: str = written["spanId"]
        self.parent: str = written.get("parentSpanId", "")
        self.start, self.end = int(written["startTimeUnixNano"]), int(written["endTimeUnixNano"])
        self.attributes = _attributes(written)
        self.links = [link["spanId"] for link in written.get("links", ())]
        self.logs = [
            str(attributes["log.message"])
            for event in written.get("events", ())
            if "log.message" in (attributes := _attributes(event))
        ]
        # The function that has made it, where it is a task.
        self.task_of = self.name.partition(".<locals>.")[0].removeprefix("task ")
        self.marks = set(MARK.findall(json.dumps(written)))

    def made(self) -> list[str]:
        """The query, command or call that it is, if any, and its lines."""
        attributes = self.attributes
        texts = [attributes.get("db.query.text"), attributes.get("url.full"), *self.logs]
        return [text for text in texts if text and not HOUSEKEEPING.match(text)]


def _attributes(written: dict[str, Any]) -> dict[str, Any]:
    return {
        pair["key"]: next(iter(pair["value"].values())) for pair in written.get("attributes", ())
    }


class Recorded:
    """All spans of a file, and whose they are: of the visit at the root of their trace."""

    def __init__(self, path: Path) -> None:
        self.traces: defaultdict[str, list[Span]] = defaultdict(list)
        self.by_id: dict[str, Span] = {}
        for line in path.read_text().splitlines():
            for span in _spans(json.loads(line)):
                assert span.id not in self.by_id
                self.traces[span.trace_id].append(span)
                self.by_id[span.id] = span
        # The server span of each visit, by its mark.
        self.visits: dict[str, Span] = {}
        for span in self.by_id.values():
            _, begins, number = span.attributes.get("url.path", "").partition("/visit/")
            if begins:
                assert mark_of(int(number)) not in self.visits
                self.visits[mark_of(int(number))] = span

    def knows_how_it_is_below(self, span: Span) -> bool:
        """Whether its parent was open when it began; or it says that it was not, and is linked."""
        parent = self.by_id[span.parent]
        if span.start < parent.end or "asynchooks.late" in span.attributes:  # a line alone
            return True
        return parent.id in span.links and not AFTERWARDS.isdisjoint(span.attributes)

    def made(self, mark: str) -> Counter[str]:
        """What was made in a visit's trace, in the service itself."""
        spans = self.traces[self.visits[mark].trace_id]
        return Counter(made for span in spans if span.service == "crowd" for made in span.made())


def _spans(line: dict[str, Any]) -> Iterator[Span]:
    for resource in line["resourceSpans"]:
        process = _attributes(resource["resource"])
        assert int(process["asynchooks.dropped_spans"]) == 0
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield Span(process["service.name"], span)


def serve(start: Starter, name: str, port: int, loop: str, **variables: str) -> Process:
    """Run one of the services, with a queue for spans in which all of them have room."""
    server = ("uvicorn", f"tests.integration.crowd.{name}:app", "--no-access-log")
    # uvicorn and httpx give up an idle connection after the same 5 seconds: one closes it while the
    # other sends.
    options = f"--port {port} --timeout-keep-alive 600 --loop {loop} --http {HTTP[loop]}".split()
    process = start.process(
        *(*ASYNCHOOKS, "run", "--no-view", "--service", name, "--", *server, *options),
        PYTHONPATH=str(ROOT),
        OTEL_TRACES_EXPORTER="file",
        ASYNCHOOKS_TRACES_FILE="traces.jsonl",
        OTEL_BSP_MAX_QUEUE_SIZE="1000000",
        **variables,
    )
    process.wait_until(lambda: answers(f"http://127.0.0.1:{port}/"), f"{name} answers")
    return process


@pytest.mark.parametrize("loop", HTTP)
def test_two_thousand_at_once_are_apart(
    start: Starter, postgres: str, redis_port: int, loop: str
) -> None:
    port, echo_port = free_port(), free_port()
    echo = serve(start, "echo", echo_port, loop)
    crowd = serve(
        start,
        "crowd",
        port,
        loop,
        CROWD=str(CROWD),
        CROWD_ECHO=f"http://127.0.0.1:{echo_port}",
        CROWD_POSTGRES=postgres,
        CROWD_REDIS_PORT=str(redis_port),
    )
    answered = asyncio.run(visit_all(port))
    report = ask(port, "/report")
    for stats in (report["stats"], ask(echo_port, "/report")):
        assert (stats["sent"], stats["dropped"]) == (stats["ended"], 0)
    crowd.stop()
    echo.stop()
    recorded = Recorded(start.folder / "traces.jsonl")
    check_all_were_there(report, answered, recorded)
    check_each_has_its_own(report, recorded)
    check_what_is_shared(report, recorded)
    check_the_other_service(report, recorded)


def check_all_were_there(report: Any, answered: list[bytes], recorded: Recorded) -> None:
    """Each visit was answered, and for each crowd there is a moment at which all were under way."""
    kinds = Counter(report["kinds"].values())
    assert len(kinds) == 19
    assert min(kinds.values()) >= CROWDS * CROWD // 19
    failing = kinds["failing"]
    assert Counter(answered) == {b"200": CROWDS * CROWD - failing, b"500": failing}
    assert recorded.visits.keys() == report["made"].keys()
    for first in range(0, CROWDS * CROWD, CROWD):
        crowd = [recorded.visits[mark_of(number)] for number in range(first, first + CROWD)]
        assert max(span.start for span in crowd) < min(span.end for span in crowd)


def check_each_has_its_own(report: Any, recorded: Recorded) -> None:
    """Under each visit is all that it has made, once, and nothing that has another one's mark."""
    kinds: dict[str, str] = report["kinds"]
    for mark, made in report["made"].items():
        kind = kinds[mark]
        assert recorded.made(mark) == Counter(made), (mark, kind)
        span = recorded.visits[mark]
        assert span.attributes["asynchooks.request_id"] == f"id-{mark[5:]}"
        was_left = kind == "left_while_it_is_streamed"
        assert span.attributes.get("asynchooks.client_disconnected", False) == was_left
        for below in recorded.traces[span.trace_id]:
            assert below.marks <= {mark}, below.name
            assert below is span or recorded.knows_how_it_is_below(below), below.name
        makers = [below.task_of for below in recorded.traces[span.trace_id]]
        tasks = Counter(maker for maker in makers if maker in TASKS)
        assert tasks == Counter({kind: TASKS.get(kind, 0)})
    # Nor has anything that is in no visit's trace.
    roots = {span.trace_id for span in recorded.visits.values()}
    others = [span for span in recorded.by_id.values() if span.trace_id not in roots]
    assert not any(mark.startswith("mark") for span in others for mark in span.marks)
    # The log records' own fields, as a formatter sees them.
    request_ids = {line: request_id for request_id, line in report["logged"]}
    assert len(request_ids) == len(report["logged"])
    for mark, made in report["made"].items():
        lines = [text for text in made if text.startswith("did ")]
        assert lines
        assert {request_ids.pop(line) for line in lines} == {f"id-{mark[5:]}"}
    assert all(line.startswith("did shared-") for line in request_ids)
    assert set(request_ids.values()) == {"-"}
    assert report["left_behind"] == []


def check_what_is_shared(report: Any, recorded: Recorded) -> None:
    """What is done once for many is one of theirs, or nobody's, and linked to the others."""
    links = {
        mark: [recorded.by_id[link] for link in span.links]
        for mark, span in recorded.visits.items()
    }
    mark_of_trace = {span.trace_id: mark for mark, span in recorded.visits.items()}
    flights = {name: waiting for name, waiting in report["shared"].items() if "mark" in name}
    assert len(flights) == 10 * CROWDS
    for name, waiting in flights.items():
        (task,) = (span for span in recorded.by_id.values() if span.name == f"task {name}")
        assert mark_of_trace[task.trace_id] in name
        assert len(waiting) > 5
        assert [links[mark] for mark in waiting] == [[task]] * len(waiting)
    others = {name: waiting for name, waiting in report["shared"].items() if "mark" not in name}
    assert len(others) > len(flights)
    by_text = defaultdict(list)
    for span in recorded.by_id.values():
        for made in span.made():
            by_text[made].append(span)
    for name, waiting in others.items():
        (query,) = by_text[f"SELECT CURRENT_TIMESTAMP /* {name} */"]
        (logs,) = by_text[f"did {name}"]
        assert logs.trace_id == query.trace_id
        assert query.trace_id not in mark_of_trace
        (root,) = (span for span in recorded.traces[query.trace_id] if not span.parent)
        assert root.name == ("batch" if name.endswith("batch") else "shared rate")
        linked = [mark_of_trace[recorded.by_id[link].trace_id] for link in root.links]
        assert Counter(linked) == Counter(waiting)


def check_the_other_service(report: Any, recorded: Recorded) -> None:
    """Each call that was answered is one request there, below it; one that was not, one at most."""
    served = defaultdict(list)
    for span in recorded.by_id.values():
        if span.service == "echo" and "/echo/" in span.attributes.get("url.path", ""):
            served[span.parent].append(span)
    calls = [span for span in recorded.by_id.values() if "url.full" in span.attributes]
    assert len(calls) == sum(
        {"calling_out": 2, "cancelled": 1}.get(kind, 0) for kind in report["kinds"].values()
    )
    for call in calls:
        answers = served.pop(call.id, [])
        is_answered = call.attributes.get("http.response.status_code") == "200"
        assert len(answers) == 1 if is_answered else len(answers) <= 1
        _, _, mark = call.attributes["url.full"].rpartition("/")
        for answer in answers:
            assert answer.trace_id == call.trace_id
            assert answer.logs == [f"echoed {mark}"]
    assert not served


def mark_of(number: int) -> str:
    return f"mark-{number:04}"

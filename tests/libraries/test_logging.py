"""logging: the request's id on every line, and every line under its request."""

from __future__ import annotations

import io
import json
import logging
import logging.handlers
import queue
from typing import TYPE_CHECKING

import pytest

from asynchooks import libraries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.libraries.conftest import Trace

FORMAT = "%(request_id)s %(trace_id)s %(span_id)s %(message)s"


class Log:
    """A logger of its own, and what it wrote."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.stream = io.StringIO()
        self.logger = logging.Logger("shop.orders")  # noqa: LOG001 -- nobody else's
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(formatter)
        self.logger.addHandler(self.handler)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log(logging.Formatter(FORMAT))
    yield log
    log.handler.close()


class JSONFormatter(logging.Formatter):
    """As JSON formatters do it: all that a record has and a fresh one has not."""

    STANDARD = frozenset(vars(logging.makeLogRecord({})))

    def format(self, record: logging.LogRecord) -> str:
        extra = {key: value for key, value in vars(record).items() if key not in self.STANDARD}
        return json.dumps({"message": record.getMessage(), **extra})


def test_a_line_has_the_request_s_ids(trace: Trace, log: Log) -> None:
    with trace.request("r42") as request:
        log.logger.warning("served %s", "it")
    span = request.span.context
    assert log.lines == [f"r42 {span.trace_id:032x} {span.span_id:016x} served it"]


def test_outside_of_a_request_the_format_works_all_the_same(trace: Trace, log: Log) -> None:
    log.logger.warning("alone")
    assert log.lines == ["- - - alone"]
    assert trace.spans == []


@pytest.mark.parametrize("style", ["{", "$"])
def test_other_styles(trace: Trace, style: str) -> None:
    text = {"{": "{request_id} {message}", "$": "${request_id} ${message}"}[style]
    log = Log(logging.Formatter(text, style=style))  # type: ignore[arg-type] # one of them
    with trace.request("r1"):
        log.logger.warning("served")
    assert log.lines == ["r1 served"]


def test_a_json_formatter_has_them_too(trace: Trace) -> None:
    log = Log(JSONFormatter())
    with trace.request("r1") as request:
        log.logger.warning("served", extra={"user": "ada"})
    line = json.loads(log.lines[0])
    assert line == {
        "message": "served",
        "user": "ada",
        "request_id": "r1",
        "trace_id": request.trace_id,
        "span_id": f"{request.span.context.span_id:016x}",
    }


def test_the_application_s_own_fields_of_these_names_win(trace: Trace, log: Log) -> None:
    with trace.request("ours"):
        log.logger.warning("own", extra={"request_id": "theirs", "trace_id": "t", "span_id": "s"})
    assert log.lines == ["theirs t s own"]


def test_a_filter_of_the_application_wins_too(trace: Trace, log: Log) -> None:
    def put(record: logging.LogRecord) -> bool:
        vars(record)["request_id"] = f"<{vars(record)['request_id']}>"
        return True

    log.handler.addFilter(put)
    with trace.request("r1"):
        log.logger.warning("served")
    assert log.lines[0].startswith("<r1> ")


def test_a_line_is_an_event_of_the_span_it_was_written_in(trace: Trace, log: Log) -> None:
    with trace.request() as request:
        try:
            raise LookupError("no such order")  # noqa: TRY301 -- to be logged
        except LookupError:
            log.logger.exception("failed for %s", "ada")
    (event,) = request.span.events
    assert event.name == "log"
    attributes = event.attributes
    assert attributes["log.message"] == "failed for ada"
    assert attributes["log.severity"] == "ERROR"
    assert attributes["log.logger"] == "shop.orders"
    assert attributes["exception.type"] == "LookupError"
    assert attributes["exception.message"] == "no such order"
    assert attributes["code.file.path"] == __file__


def test_a_record_that_is_handled_twice_is_one_event(trace: Trace, log: Log) -> None:
    """As by a queue: QueueHandler, then a listener that hands it to other loggers."""
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    front = logging.Logger("front")  # noqa: LOG001 -- nobody else's
    front.addHandler(logging.handlers.QueueHandler(records))
    with trace.request("r1") as request:
        front.warning("served")
    log.logger.handle(records.get())
    assert log.lines[0].startswith("r1 ")
    with trace.request("r2") as other:
        log.logger.handle(log.logger.makeRecord("x", 30, "f", 1, "new", (), None))
    assert len(request.span.events) == 1
    assert len(other.span.events) == 1


def test_a_message_that_cannot_be_formatted_fails_as_without_us(
    trace: Trace, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    with trace.request() as request:
        log.logger.warning("%d orders", "no")
    assert "--- Logging error ---" in capsys.readouterr().err
    assert request.span.events[0].attributes["log.message"] == "%d orders"


def test_an_interrupt_while_a_line_is_recorded_reaches_the_application(
    trace: Trace, log: Log
) -> None:
    class Slow:
        """Its text takes so long that somebody presses Ctrl-C."""

        def __str__(self) -> str:
            raise KeyboardInterrupt

    with trace.request(), pytest.raises(KeyboardInterrupt):
        log.logger.warning("%s", Slow())
    assert log.lines == []


def test_a_logger_that_is_switched_off_says_nothing(trace: Trace, log: Log) -> None:
    log.logger.disabled = True
    with trace.request() as request:
        log.logger.warning("unheard")
    assert log.lines == []
    assert request.span.events == []


def test_the_line_s_caller_is_the_application(trace: Trace) -> None:
    log = Log(logging.Formatter("%(filename)s %(funcName)s"))
    with trace.request():
        log.logger.warning("where?")
    assert log.lines == ["test_logging.py test_the_line_s_caller_is_the_application"]


def test_all_is_as_before_after_uninstall(trace: Trace) -> None:
    libraries.uninstall()
    before = dict(vars(logging.Logger))
    libraries.install()
    assert dict(vars(logging.Logger)) != before
    libraries.uninstall()
    assert dict(vars(logging.Logger)) == before

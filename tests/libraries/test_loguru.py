"""loguru: the request's ids in every record, without configuration."""

from __future__ import annotations

import json
import logging
import traceback
from typing import TYPE_CHECKING, Any

import loguru._logger
import pytest
from loguru import logger

from asynchooks import libraries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.libraries.conftest import Trace


@pytest.fixture
def records() -> Iterator[list[dict[str, Any]]]:
    """What a sink is given, as JSON."""
    found: list[dict[str, Any]] = []
    logger.remove()
    number = logger.add(lambda text: found.append(json.loads(text)["record"]), serialize=True)
    yield found
    logger.remove(number)


def test_a_record_has_the_request_s_ids(trace: Trace, records: list[dict[str, Any]]) -> None:
    with trace.request("r42") as request:
        logger.bind(user="ada").warning("served {}", "it")
    (record,) = records
    assert record["message"] == "served it"
    assert record["function"] == "test_a_record_has_the_request_s_ids"
    assert record["extra"] == {
        "user": "ada",
        "request_id": "r42",
        "trace_id": request.trace_id,
        "span_id": f"{request.span.context.span_id:016x}",
    }
    (event,) = request.span.events
    assert event.attributes["log.message"] == "served it"
    assert event.attributes["log.severity"] == "WARNING"
    assert event.attributes["log.logger"] == __name__
    assert event.attributes["code.file.path"] == __file__


def test_outside_of_a_request_a_format_works_all_the_same(trace: Trace) -> None:
    said: list[str] = []
    logger.remove()
    number = logger.add(said.append, format="{extra[request_id]} {message}")
    logger.info("alone")
    logger.remove(number)
    assert said == ["- alone\n"]
    assert trace.spans == []


@pytest.mark.parametrize("enqueue", [False, True])
def test_a_line_that_is_handed_on_to_logging_is_one_line(
    trace: Trace, caplog: pytest.LogCaptureFixture, enqueue: bool
) -> None:
    class Propagate(logging.Handler):
        """As loguru's documentation shows it."""

        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger(record.name).handle(record)

    logger.remove()
    number = logger.add(Propagate(), format="{message}", enqueue=enqueue)
    with trace.request("r42") as request:
        logger.warning("handed on")
        logger.complete()
    logger.remove(number)
    (event,) = request.span.events
    assert event.attributes["log.message"] == "handed on"
    (record,) = (record for record in caplog.records if record.name == __name__)
    assert vars(record)["request_id"] == "r42"
    assert vars(record)["trace_id"] == request.trace_id


def test_what_the_application_binds_or_patches_wins(
    trace: Trace, records: list[dict[str, Any]]
) -> None:
    with trace.request("ours"):
        logger.bind(request_id="theirs").info("bound")
        with logger.contextualize(request_id="theirs"):
            logger.info("in context")
        logger.patch(lambda record: record["extra"].update(request_id="theirs")).info("patched")
    assert [record["extra"]["request_id"] for record in records] == ["theirs"] * 3


def test_a_caught_exception_is_told_and_its_caller_is_the_application(
    trace: Trace, records: list[dict[str, Any]]
) -> None:
    @logger.catch
    def fail() -> None:
        raise LookupError("no such lamp")

    with trace.request() as request:
        fail()
    assert (
        records[0]["function"]
        == "test_a_caught_exception_is_told_and_its_caller_is_the_application"
    )
    (event,) = request.span.events
    assert event.attributes["exception.type"] == "LookupError"
    assert event.attributes["exception.message"] == "no such lamp"


def test_a_wrong_call_fails_as_without_us(trace: Trace, records: list[dict[str, Any]]) -> None:
    def attempt() -> list[str]:
        with pytest.raises(ValueError, match="does not exist") as caught:
            logger.log("NO SUCH LEVEL", "text")
        return [frame.name for frame in traceback.extract_tb(caught.tb)]

    ours = attempt()
    libraries.uninstall()
    assert attempt() == ours


def test_all_is_as_before_after_uninstall(trace: Trace) -> None:
    libraries.uninstall()
    owner = loguru._logger.Logger
    before = dict(vars(owner))
    libraries.install()
    assert dict(vars(owner)) != before
    libraries.uninstall()
    assert dict(vars(owner)) == before

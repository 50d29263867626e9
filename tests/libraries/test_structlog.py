"""structlog: the request's ids on every event, whatever it is rendered to."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog
import structlog._base

from asynchooks import libraries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.libraries.conftest import Trace


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where JSON lines go."""
    stream = io.StringIO()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.CallsiteParameterAdder(
                [structlog.processors.CallsiteParameter.FUNC_NAME]
            ),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
    yield stream
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_has_the_request_s_ids(trace: Trace, stream: io.StringIO) -> None:
    with trace.request("r42") as request:
        structlog.get_logger().bind(user="ada").warning("served", what="it")
    assert lines(stream) == [
        {
            "event": "served",
            "level": "warning",
            "user": "ada",
            "what": "it",
            "func_name": "test_an_event_has_the_request_s_ids",
            "request_id": "r42",
            "trace_id": request.trace_id,
            "span_id": f"{request.span.context.span_id:016x}",
        }
    ]
    (event,) = request.span.events
    assert event.attributes["log.message"] == "served"
    assert event.attributes["log.severity"] == "WARNING"


def test_outside_of_a_request_nothing_is_added(trace: Trace, stream: io.StringIO) -> None:
    structlog.get_logger().info("alone")
    assert "request_id" not in lines(stream)[0]
    assert trace.spans == []


def test_what_the_application_binds_wins(trace: Trace, stream: io.StringIO) -> None:
    with trace.request("ours"):
        structlog.get_logger().bind(request_id="theirs").info("served", trace_id="t")
    (line,) = lines(stream)
    assert (line["request_id"], line["trace_id"]) == ("theirs", "t")


def test_a_change_of_the_configuration_s_list_is_seen(trace: Trace, stream: io.StringIO) -> None:
    logger = structlog.get_logger().bind()
    capture = structlog.testing.LogCapture()
    structlog.get_config()["processors"].insert(0, capture)
    with trace.request("r1"):
        logger.info("captured")
    assert stream.getvalue() == ""
    (captured,) = capture.entries
    assert captured["event"] == "captured"
    assert captured["request_id"] == "r1"


@pytest.mark.parametrize("is_rendered", [True, False])
def test_through_logging_it_is_one_event(trace: Trace, is_rendered: bool) -> None:
    """As text, or as fields of the record."""
    output = io.StringIO()
    logger = logging.Logger("shop")  # noqa: LOG001 -- nobody else's
    handler = logging.StreamHandler(output)
    handler.setFormatter(logging.Formatter("%(request_id)s %(message)s"))
    logger.addHandler(handler)
    last: Any = (
        structlog.processors.KeyValueRenderer(key_order=["event", "request_id"])
        if is_rendered
        else structlog.stdlib.render_to_log_kwargs
    )
    wrapped = structlog.wrap_logger(
        logger, processors=[last], wrapper_class=structlog.stdlib.BoundLogger
    )
    with trace.request("r1") as request:
        wrapped.warning("served")
    handler.close()
    line = "r1 event='served' request_id='r1'" if is_rendered else "r1 served"
    assert output.getvalue().startswith(line)
    assert len(request.span.events) == 1


def test_a_logger_that_exists_says_nothing_after_uninstall(
    trace: Trace, stream: io.StringIO
) -> None:
    logger = structlog.get_logger().bind()
    libraries.uninstall()
    logger.info("later")
    assert lines(stream)[0]["event"] == "later"
    assert "request_id" not in lines(stream)[0]


def test_all_is_as_before_after_uninstall(trace: Trace) -> None:
    libraries.uninstall()
    owner = structlog._base.BoundLoggerBase
    before = dict(vars(owner))
    libraries.install()
    assert dict(vars(owner)) != before
    libraries.uninstall()
    assert dict(vars(owner)) == before

"""logging, structlog and loguru: their lines as log records, where these are asked for."""

from __future__ import annotations

import io
import logging
import logging.handlers
import queue
import sys
import warnings
from typing import TYPE_CHECKING, Any

import loguru
import pytest
import structlog
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from asynchooks import _native

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.libraries.conftest import Trace


class Exported:
    """The log records that were encoded."""

    def __init__(self) -> None:
        self._buffer = _native.ExportBuffer(
            start=lambda: None,
            scope=_native.encode_scope("nobody"),
            capacity=1000,
            byte_limit=1 << 30,
            batch=1000,
        )
        _native.set_log_buffer(self._buffer)

    def records(self) -> list[tuple[str, Any]]:
        """Each since the last time, after the name of its scope."""
        taken = self._buffer.take(_native.encode_resource({}))
        if taken is None:
            return []
        self._buffer.settle(taken[0], 0)
        return records_in(ExportLogsServiceRequest.FromString(taken[1]))

    def record(self) -> tuple[str, Any]:
        (record,) = self.records()
        return record


def records_in(request: Any) -> list[tuple[str, Any]]:
    return [
        (scope.scope.name, record)
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def attributes_of(record: Any) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in record.attributes
    }


@pytest.fixture
def exported(trace: Trace) -> Iterator[Exported]:
    yield Exported()
    _native.set_log_buffer(None)


@pytest.fixture
def logger() -> logging.Logger:
    return logging.Logger("shop.orders")  # noqa: LOG001 -- nobody else's


def fail(logger: Any) -> None:
    try:
        raise LookupError("no such order")  # noqa: TRY301 -- to be logged
    except LookupError:
        logger.exception("failed")


def test_a_line_of_logging(trace: Trace, exported: Exported, logger: logging.Logger) -> None:
    with trace.request() as request:
        logger.warning("served %s", "it", extra={"user": "ada", "basket": [1]})
    scope, record = exported.record()
    assert scope == "shop.orders"
    assert record.body.string_value == "served it"
    assert (record.severity_number, record.severity_text) == (13, "WARN")
    assert record.trace_id.hex() == request.trace_id
    assert record.span_id == request.span.context.span_id.to_bytes(8, "big")
    attributes = attributes_of(record)
    assert attributes.pop("code.line.number") > 0
    assert attributes == {
        "code.file.path": __file__,
        "code.function.name": "test_a_line_of_logging",
        "user": "ada",
    }
    assert request.span.events == []


def test_it_says_what_opentelemetry_s_handler_says(
    trace: Trace, exported: Exported, logger: logging.Logger
) -> None:
    """But for the type of an exception, which we name with its module, as the conventions ask."""
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call] # it has no types
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        handler = LoggingHandler(logger_provider=provider)
    logger.addHandler(handler)
    logger.addFilter(lambda record: not record.getMessage().startswith("secret"))
    with trace.request():
        for level in range(10, 61):
            logger.log(level, "level %d", level)
        logger.info("no arguments: %s")
        logger.info("%(name)s", {"name": "a mapping"})
        logger.info("fields", extra={"user": "ada", "count": 3, "ratio": 0.5, "is_new": True})
        logger.info("secret")
        fail(logger)
    theirs = records_in(encode_logs(exporter.get_finished_logs()))
    ours = exported.records()
    assert len(ours) == len(theirs) == 55
    for (our_scope, mine), (their_scope, other) in zip(ours, theirs, strict=True):
        assert our_scope == their_scope
        for field in ("body", "severity_number", "severity_text", "time_unix_nano"):
            assert getattr(mine, field) == getattr(other, field), field
        expected = attributes_of(other)
        for name in ("request_id", "trace_id", "span_id"):
            expected.pop(name)  # which we have set, and know
        assert attributes_of(mine) == expected
    provider.shutdown()


def test_what_a_filter_keeps_back_or_blackens(
    trace: Trace, exported: Exported, logger: logging.Logger
) -> None:
    def blacken(record: logging.LogRecord) -> bool:
        record.msg = record.msg.replace("4711", "****")
        vars(record).pop("card", None)
        return "health" not in record.msg

    logger.addFilter(blacken)
    with trace.request() as request:
        logger.warning("paid by 4711", extra={"card": "4711"})
        logger.warning("health")
    _, record = exported.record()
    assert record.body.string_value == "paid by ****"
    assert "card" not in attributes_of(record)
    _native.set_log_buffer(None)
    with trace.request() as request:
        logger.warning("paid by 4711")
        logger.warning("health")
    (event,) = request.span.events
    assert event.attributes["log.message"] == "paid by ****"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a filter answers yes or no before 3.12")
def test_a_record_that_a_filter_puts_in_its_place(
    trace: Trace, exported: Exported, logger: logging.Logger
) -> None:
    def replace(record: logging.LogRecord) -> Any:
        other = logging.makeLogRecord(vars(record))
        other.msg = "another"
        return other

    logger.addFilter(replace)
    with trace.request():
        logger.warning("one")
    assert exported.record()[1].body.string_value == "another"


def test_a_line_below_its_logger_s_level_is_none(exported: Exported, logger: Any) -> None:
    logger.setLevel(logging.ERROR)
    logger.warning("unheard")
    logger.disabled = True
    logger.error("unheard")
    assert exported.records() == []


def test_outside_of_a_request_a_line_is_exported_too(
    exported: Exported, logger: logging.Logger
) -> None:
    logger.warning("starting up")
    _, record = exported.record()
    assert record.trace_id == b""
    assert not {"request_id", "trace_id", "span_id"} & attributes_of(record).keys()


def test_fields_of_the_application_that_are_called_as_ours(
    trace: Trace, exported: Exported, logger: logging.Logger
) -> None:
    with trace.request():
        logger.warning("own", extra={"request_id": "theirs"})
    attributes = attributes_of(exported.record()[1])
    assert attributes["request_id"] == "theirs"
    assert not {"trace_id", "span_id"} & attributes.keys()


def test_a_record_that_is_handled_twice_is_exported_once(
    trace: Trace, exported: Exported, logger: logging.Logger
) -> None:
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    logger.addHandler(logging.handlers.QueueHandler(records))
    with trace.request():
        logger.warning("served")
    logging.Logger("behind").handle(records.get())  # noqa: LOG001 -- nobody else's
    assert len(exported.records()) == 1


def test_our_own_lines_are_not_exported(exported: Exported) -> None:
    logging.getLogger("asynchooks").info("trouble")
    assert exported.records() == []


def test_what_is_logged_inside_of_a_call_that_is_one_span_is_exported(
    trace: Trace, exported: Exported, logger: logging.Logger
) -> None:
    """As SQLAlchemy's own lines are."""
    from asynchooks.tracing import suppress_tracing

    with trace.request() as request, suppress_tracing():
        logger.warning("SELECT 1")
    assert exported.record()[1].trace_id.hex() == request.trace_id


@pytest.mark.parametrize("argument", [1, object()])
def test_a_line_that_cannot_be_formatted_fails_as_without_us(
    trace: Trace,
    exported: Exported,
    logger: logging.Logger,
    argument: object,
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger.addHandler(logging.StreamHandler(io.StringIO()))
    logger.warning("%s and %s", argument)
    error = capsys.readouterr().err
    assert "--- Logging error ---" in error
    assert "asynchooks" not in error
    assert exported.record()[1].body.string_value == "%s and %s"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where structlog's lines go, without its secrets."""

    def blacken(logger: Any, method: str, event: Any) -> Any:
        return {key: "***" if key == "password" else value for key, value in event.items()}

    stream = io.StringIO()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            blacken,
            structlog.processors.JSONRenderer(default=str),
        ],
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
    yield stream
    structlog.reset_defaults()


def test_an_event_of_structlog(trace: Trace, exported: Exported, stream: io.StringIO) -> None:
    with trace.request() as request:
        structlog.get_logger().bind(user="ada").warning(
            "served", count=3, basket=[1], password="hunter2"
        )
    scope, record = exported.record()
    assert scope == __name__
    assert record.body.string_value == "served"
    assert (record.severity_number, record.severity_text) == (13, "WARN")
    assert record.trace_id.hex() == request.trace_id
    assert record.time_unix_nano <= record.observed_time_unix_nano
    attributes = attributes_of(record)
    assert attributes.pop("code.line.number") > 0
    assert attributes == {
        "code.file.path": __file__,
        "code.function.name": "test_an_event_of_structlog",
        "user": "ada",
        "count": 3,
        "password": "***",
    }
    assert request.span.events == []


def test_an_exception_of_structlog(exported: Exported, stream: io.StringIO) -> None:
    fail(structlog.get_logger())
    _, record = exported.record()
    assert (record.severity_number, record.severity_text) == (17, "ERROR")
    attributes = attributes_of(record)
    assert attributes["exception.type"] == "LookupError"
    assert attributes["exception.stacktrace"].endswith("LookupError: no such order\n")
    assert "exception" not in attributes


def test_an_event_of_structlog_that_is_dropped(exported: Exported) -> None:
    def drop(logger: Any, method: str, event: Any) -> Any:
        raise structlog.DropEvent

    wrapped = structlog.wrap_logger(structlog.PrintLogger(), processors=[drop, drop])
    wrapped.warning("unheard")
    assert exported.records() == []


def test_an_event_of_structlog_whose_message_is_called_otherwise(exported: Exported) -> None:
    renamer = structlog.processors.EventRenamer("msg")
    stream = io.StringIO()
    wrapped = structlog.wrap_logger(
        structlog.PrintLogger(stream), processors=[renamer, structlog.processors.JSONRenderer()]
    )
    wrapped.warning("served")
    _, record = exported.record()
    assert record.body.string_value == "served"
    assert "msg" not in attributes_of(record)


def test_structlog_through_logging_is_one_line(exported: Exported, logger: Any) -> None:
    wrapped = structlog.wrap_logger(
        logger,
        processors=[structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    wrapped.warning("served", user="ada")
    scope, record = exported.record()
    assert scope == "shop.orders"
    assert record.body.string_value == "served"
    assert attributes_of(record)["user"] == "ada"


@pytest.fixture
def sink() -> Iterator[list[str]]:
    said: list[str] = []
    loguru.logger.remove()
    number = loguru.logger.add(said.append, format="{message}")
    yield said
    loguru.logger.remove(number)


def test_a_line_of_loguru(trace: Trace, exported: Exported, sink: list[str]) -> None:
    with trace.request() as request:
        loguru.logger.bind(user="ada", basket=[1]).success("served {}", "it")
    scope, record = exported.record()
    assert scope == __name__
    assert record.body.string_value == "served it"
    assert (record.severity_number, record.severity_text) == (12, "SUCCESS")
    assert record.trace_id.hex() == request.trace_id
    attributes = attributes_of(record)
    assert attributes.pop("code.line.number") > 0
    assert attributes == {
        "code.file.path": __file__,
        "code.function.name": "test_a_line_of_loguru",
        "user": "ada",
    }


def test_an_exception_of_loguru(exported: Exported, sink: list[str]) -> None:
    fail(loguru.logger)
    attributes = attributes_of(exported.record()[1])
    assert attributes["exception.type"] == "LookupError"
    assert attributes["exception.stacktrace"].endswith("LookupError: no such order\n")


def test_what_a_patcher_of_loguru_blackens(exported: Exported, sink: list[str]) -> None:
    def blacken(record: Any) -> None:
        record["message"] = record["message"].replace("4711", "****")

    loguru.logger.patch(blacken).warning("paid by 4711")
    assert exported.record()[1].body.string_value == "paid by ****"


class HandsOn(logging.Handler):
    """As loguru's documentation has it."""

    def emit(self, record: logging.LogRecord) -> None:
        depth = 6
        loguru.logger.opt(depth=depth, exception=record.exc_info).log(
            record.levelname, record.getMessage()
        )


def test_a_line_that_logging_hands_on_to_loguru_is_one(
    trace: Trace, exported: Exported, logger: logging.Logger, sink: list[str]
) -> None:
    class Talkative(HandsOn):
        def emit(self, record: logging.LogRecord) -> None:
            loguru.logger.info("about to hand on")
            super().emit(record)

    logger.addHandler(Talkative())
    logger.warning("served %s", "it")
    assert sink == ["about to hand on\n", "served it\n"]
    said = {scope: record.body.string_value for scope, record in exported.records()}
    assert said == {"shop.orders": "served it", __name__: "about to hand on"}

"""What the OTEL_* variables say."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asynchooks import _reporting
from asynchooks.tracing.config import VARIABLES, Config, disabled_instrumentations
from asynchooks.tracing.environment import UNLIMITED
from asynchooks.tracing.sampling import DEFAULT_SAMPLER

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def new_reports() -> Iterator[None]:
    _reporting.forget_reports()
    yield
    _reporting.forget_reports()


ROOT = Path(__file__).resolve().parents[3]


def read(**environment: str) -> Config:
    return Config.from_environment(environment)


def test_by_default_spans_go_to_the_viewer() -> None:
    config = read()
    assert config.endpoint == "http://127.0.0.1:4318/v1/traces"
    assert config.headers == {}
    assert config.timeout == 10.0


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c/otlp"}, "https://c/otlp/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/own"}, "http://c/own"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://all",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces/v1/traces",
            },
            "http://traces/v1/traces",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "  "}, "http://127.0.0.1:4318/v1/traces"),
        ({"OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_SDK_DISABLED": "0"}, "http://127.0.0.1:4318/v1/traces"),
    ],
)
def test_endpoint(environment: dict[str, str], endpoint: str | None) -> None:
    assert read(**environment).endpoint == endpoint


@pytest.mark.parametrize(
    "text", ["collector:4318", "ftp://c", "http://", "http://c:port", "http://["]
)
def test_an_endpoint_that_is_no_url_is_reported_and_nothing_is_sent(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(OTEL_EXPORTER_OTLP_ENDPOINT=text).endpoint is None
    (record,) = caplog.records
    assert text in record.getMessage()
    assert "http://127.0.0.1:4318" in record.getMessage()


def test_headers_are_decoded_and_those_of_traces_win() -> None:
    config = read(OTEL_EXPORTER_OTLP_HEADERS="api-key=a%20b, x = y ,broken")
    assert config.headers == {"api-key": "a b", "x": "y"}
    config = read(
        OTEL_EXPORTER_OTLP_HEADERS="a=general", OTEL_EXPORTER_OTLP_TRACES_HEADERS="a=traces"
    )
    assert config.headers == {"a": "traces"}


def test_where_and_how_spans_are_exported() -> None:
    config = read()
    assert (config.exporter, config.compression, config.file) == ("otlp", "none", "traces.jsonl")
    assert (config.queue_size, config.batch_size, config.interval) == (UNLIMITED, UNLIMITED, 0.2)
    assert config.queue_bytes == 16 << 20
    config = read(
        OTEL_TRACES_EXPORTER="file",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_EXPORTER_OTLP_TRACES_COMPRESSION="none",
        ASYNCHOOKS_TRACES_FILE="/tmp/spans",
        OTEL_BSP_MAX_QUEUE_SIZE="100",
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE="1000",
        OTEL_BSP_SCHEDULE_DELAY="50",
    )
    assert (config.exporter, config.compression, config.file) == ("file", "none", "/tmp/spans")
    assert (config.queue_size, config.batch_size, config.interval) == (100, 100, 0.05)
    assert config.queue_bytes == 256 << 20


def test_the_files_of_tls_are_those_of_the_signal() -> None:
    for name, of_all in (
        ("CERTIFICATE", "ca.pem"),
        ("CLIENT_CERTIFICATE", "we.pem"),
        ("CLIENT_KEY", "we.key"),
    ):
        attribute = name.lower()
        variables = {f"OTEL_EXPORTER_OTLP_{name}": of_all, "OTEL_LOGS_EXPORTER": "otlp"}
        config = read(**variables, **{f"OTEL_EXPORTER_OTLP_LOGS_{name}": "logs.pem"})
        assert getattr(read(), attribute) == ""
        assert getattr(config, attribute) == of_all
        assert getattr(config.logs, attribute) == "logs.pem"


def test_log_records_are_exported_where_that_is_asked_for() -> None:
    assert read().logs.exporter == "none"
    assert read().logs.endpoint is None
    logs = read(
        OTEL_LOGS_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://c:4318",
        OTEL_EXPORTER_OTLP_HEADERS="a=all",
    ).logs
    assert (logs.exporter, logs.endpoint, logs.headers) == (
        "otlp",
        "http://c:4318/v1/logs",
        {"a": "all"},
    )
    assert (logs.queue_size, logs.batch_size, logs.interval) == (UNLIMITED, UNLIMITED, 0.2)
    config = read(
        OTEL_LOGS_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="http://l/own",
        OTEL_EXPORTER_OTLP_LOGS_HEADERS="a=logs",
        OTEL_EXPORTER_OTLP_LOGS_TIMEOUT="500",
        OTEL_EXPORTER_OTLP_LOGS_COMPRESSION="gzip",
        OTEL_BLRP_MAX_QUEUE_SIZE="10",
        OTEL_BLRP_SCHEDULE_DELAY="50",
        ASYNCHOOKS_LOGS_FILE="/tmp/logs",
    )
    logs = config.logs
    assert (logs.endpoint, logs.headers) == ("http://l/own", {"a": "logs"})
    assert (logs.timeout, logs.compression, logs.file) == (0.5, "gzip", "/tmp/logs")
    assert (logs.queue_size, logs.batch_size, logs.interval) == (10, 10, 0.05)
    assert (config.endpoint, config.queue_size) == ("http://127.0.0.1:4318/v1/traces", UNLIMITED)


@pytest.mark.parametrize(
    "off",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "False"},
    ],
)
def test_or_not(off: dict[str, str]) -> None:
    assert read(OTEL_LOGS_EXPORTER="otlp", **off).logs.exporter == "none"


def test_an_endpoint_of_log_records_that_nobody_uses_is_not_spoken_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    read(OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="nonsense")
    assert caplog.records == []


def test_limits_are_opentelemetry_s_and_the_nearest_variable_wins() -> None:
    assert read().limits == {
        "attributes": 128,
        "events": 128,
        "links": 128,
        "event_attributes": 128,
        "link_attributes": 128,
        "log_attributes": 128,
        "value_length": 16384,
    }
    assert read(
        OTEL_ATTRIBUTE_COUNT_LIMIT="5",
        OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="6",
        OTEL_SPAN_EVENT_COUNT_LIMIT="7",
        OTEL_SPAN_LINK_COUNT_LIMIT="0",
        OTEL_LINK_ATTRIBUTE_COUNT_LIMIT="8",
        OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT="4",
        OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="9",
    ).limits == {
        "attributes": 6,
        "events": 7,
        "links": 0,
        "event_attributes": 5,
        "link_attributes": 8,
        "log_attributes": 4,
        "value_length": 9,
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_TRACES_EXPORTER", "jaeger"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "many"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_LOGS_EXPORTER", "syslog"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "99999999999"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "\N{SUPERSCRIPT TWO}"),
    ],
)
def test_what_makes_no_sense_is_reported_and_its_default_used(
    name: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(**{name: text}) == read()
    (record,) = caplog.records
    assert name in record.getMessage()
    assert repr(text) in record.getMessage()


def test_timeout_is_in_milliseconds() -> None:
    assert read(OTEL_EXPORTER_OTLP_TIMEOUT="1500").timeout == 1.5


@pytest.mark.parametrize("text", ["soon", "-1", "0", "nan", "inf"])
def test_a_timeout_that_is_none_is_reported(text: str, caplog: pytest.LogCaptureFixture) -> None:
    assert read(OTEL_EXPORTER_OTLP_TIMEOUT=text).timeout == 10.0
    assert text in caplog.records[0].getMessage()


def test_resource_attributes_and_the_service_s_name() -> None:
    config = read(OTEL_RESOURCE_ATTRIBUTES="service.name=old,deployment.environment.name=prod")
    assert config.service_name == "old"
    assert config.resource_attributes == {"deployment.environment.name": "prod"}
    config = read(OTEL_SERVICE_NAME="new", OTEL_RESOURCE_ATTRIBUTES="service.name=old")
    assert config.service_name == "new"
    assert config.resource_attributes == {}


@pytest.mark.parametrize(
    ("argv", "original", "expected"),
    [
        (["/venv/bin/uvicorn", "shop.main:app", "--port", "80"], None, "shop"),
        (
            ["/venv/bin/gunicorn", "-k", "uvicorn_worker.UvicornWorker", "orders:app"],
            None,
            "orders",
        ),
        (["/venv/bin/hypercorn", "-b", "127.0.0.1:80", "billing.app:app"], None, "billing"),
        (["/srv/job.py", "--all"], ["python", "/srv/job.py", "--all"], "job"),
        (["/srv/pkg/__main__.py", "80"], ["python", "-m", "pkg", "80"], "pkg"),
        (["/lib/uvicorn/__main__.py", "a:app"], ["python", "-m", "uvicorn", "a:app"], "a"),
        # As multiprocessing's spawned processes have them.
        (["/venv/bin/uvicorn", "shop.main:app"], ["python", "-c", "spawn_main()"], "shop"),
        (["/lib/uvicorn/__main__.py", "a:app"], ["python", "-c", "spawn_main()"], "a"),
        (["/srv/pkg/__main__.py", "80"], ["python", "-c", "spawn_main()"], "pkg"),
        (["-c"], ["python", "-c", "pass"], "unknown_service:python"),
        ([""], ["python"], "unknown_service:python"),
        ([], ["python"], "unknown_service:python"),
    ],
)
def test_a_service_is_called_by_its_command(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], original: list[str] | None, expected: str
) -> None:
    config = read()  # a spawned process is told its command line later
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original or ["python", *argv])
    assert config.service_name == expected


def test_every_variable_is_documented_with_its_default() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)? *\|", page, re.MULTILINE)
    assert dict(rows) == VARIABLES
    assert len(rows) == len(VARIABLES)


def test_no_other_variable_is_read() -> None:
    layers = [
        ROOT / "src" / "asynchooks" / name for name in ("tracing", "libraries", "opentelemetry")
    ]
    texts = [path.read_text() for layer in layers for path in layer.glob("*.py")]
    named = {name for text in texts for name in re.findall(r"\"((?:OTEL|ASYNCHOOKS)_\w+)\"", text)}
    assert {name for name in named if not name.endswith("_")} <= set(VARIABLES)


def test_no_variable_at_all_is_as_the_defaults_say() -> None:
    assert read() == read(**VARIABLES) == read(**dict.fromkeys(VARIABLES, " "))


@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        ("always_on", "", (True, True)),
        ("always_off", "", (False, False)),
        ("traceidratio", "0", (False, False)),
        ("traceidratio", "0.5", (True, False)),
        ("parentbased_traceidratio", "0.5", (True, False)),
        ("parentbased_always_on", "0", (True, True)),
    ],
)
def test_sampler(name: str, argument: str, expected: tuple[bool, bool]) -> None:
    sampler = read(OTEL_TRACES_SAMPLER=name, OTEL_TRACES_SAMPLER_ARG=argument).sampler
    assert (sampler(None, 1), sampler(None, (1 << 64) - 1)) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "deflate"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_LOGS_EXPORTER", "syslog"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "many"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "1.5"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "99999999999999999999"),
        ("ASYNCHOOKS_TAIL_KEEP_ONE_IN", "0"),
        ("ASYNCHOOKS_TAIL_SLOW_MS", "nan"),
        ("ASYNCHOOKS_TRACES_PER_SECOND", "-5"),
    ],
)
def test_a_wrong_value_is_reported_once_and_the_default_used(
    name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(**{name: value}) == read(**{name: value}) == read()
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith(f"{name} is {value!r}, expected ")
    default = VARIABLES[name] or VARIABLES.get(name.replace("_TRACES_", "_")) or "none"
    assert message.endswith(f"; using {default}")


@pytest.mark.parametrize("argument", ["half", "-0.1", "1.1", "nan"])
def test_a_wrong_ratio_is_reported_and_all_is_sampled(
    argument: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = read(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG=argument)
    assert config.sampler(None, (1 << 64) - 1)
    (record,) = caplog.records
    assert argument in record.getMessage()
    # Where no ratio is asked for, nobody looks.
    assert read(OTEL_TRACES_SAMPLER_ARG=argument).sampler is DEFAULT_SAMPLER
    assert len(caplog.records) == 1


def test_propagators(caplog: pytest.LogCaptureFixture) -> None:
    assert read(OTEL_PROPAGATORS="b3, tracecontext,b3").propagators == ("b3", "tracecontext")
    assert read(OTEL_PROPAGATORS="none").propagators == ()
    assert caplog.records == []
    assert read(OTEL_PROPAGATORS="xray,b3multi").propagators == ("b3multi",)
    (record,) = caplog.records
    assert "'xray'" in record.getMessage()


def test_what_is_said_of_traces_goes_before() -> None:
    config = read(
        OTEL_EXPORTER_OTLP_TIMEOUT="1000",
        OTEL_EXPORTER_OTLP_TRACES_TIMEOUT="2000",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_EXPORTER_OTLP_TRACES_COMPRESSION="none",
    )
    assert (config.timeout, config.compression) == (2.0, "none")


def test_limits() -> None:
    limits = read(OTEL_ATTRIBUTE_COUNT_LIMIT="5", OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="6").limits
    assert limits == {
        "attributes": 5,
        "value_length": 6,
        "events": 128,
        "links": 128,
        "event_attributes": 5,
        "link_attributes": 5,
        "log_attributes": 5,
    }
    limits = read(
        OTEL_ATTRIBUTE_COUNT_LIMIT="5",
        OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="0",
        OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT="7",
        OTEL_SPAN_EVENT_COUNT_LIMIT="1",
        OTEL_SPAN_LINK_COUNT_LIMIT="2",
        OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT="3",
        OTEL_LINK_ATTRIBUTE_COUNT_LIMIT="4",
    ).limits
    assert list(limits.values()) == [0, 7, 1, 2, 3, 4, 5]


def test_tail_and_rate() -> None:
    config = read(
        ASYNCHOOKS_TAIL_KEEP_ONE_IN="100",
        ASYNCHOOKS_TAIL_SLOW_MS="250",
        ASYNCHOOKS_TRACES_PER_SECOND="0.5",
    )
    assert config.tail_keep_one_in == 100
    assert config.tail_slow == 0.25
    assert config.traces_per_second == 0.5


def test_headers_that_are_asked_for() -> None:
    config = read(OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST="X-Tenant, accept ,")
    assert config.captured_headers["server_request"] == {"x-tenant", "accept"}
    assert config.captured_headers["client_response"] == frozenset()


def test_disabled_instrumentations() -> None:
    assert disabled_instrumentations({}) == frozenset()
    named = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "httpx, jinja2,"}
    assert disabled_instrumentations(named) == {"httpx", "jinja2"}

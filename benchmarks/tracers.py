"""The tracers that `benchmarks.requests` compares, each in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple

__all__ = ("TRACERS", "Tracer", "prepare")

# What the services are made of, in the versions that the tests are run with.
SERVICES = ("fastapi", "uvicorn", "uvloop", "httptools", "asyncpg", "flask", "gunicorn")


class Tracer(NamedTuple):
    """One side.

    Args:
        packages: what is installed beside the services.
        before: in front of the server's command.
        environment: of the server; `{port}` is the receiver's, `{silent}` that of one which takes
            everything and never answers.
        bootstrap: a command that completes the installation.
        home: whose packages it has; "": its own.
    """

    name: str
    packages: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    bootstrap: tuple[str, ...] = ()
    home: str = ""


PLAIN = Tracer("plain")
OURS = Tracer(
    "asynchooks",
    (".",),
    ("asynchooks", "run", "--"),
    (("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:{port}"),),
)
TO_NONE = OURS._replace(
    name="asynchooks to none",
    environment=(("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),),
    home=OURS.name,
)
TO_SILENCE = OURS._replace(
    name="asynchooks to one that hangs",
    environment=(("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:{silent}"),),
    home=OURS.name,
)
OPENTELEMETRY = Tracer(
    "opentelemetry",
    ("opentelemetry-distro==0.66b1", "opentelemetry-exporter-otlp-proto-http"),
    ("opentelemetry-instrument",),
    (
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:{port}"),
    ),
    ("opentelemetry-bootstrap", "-a", "install"),
)
DDTRACE = Tracer(
    "ddtrace",
    ("ddtrace==4.16.0",),
    ("ddtrace-run",),
    (
        ("DD_TRACE_AGENT_URL", "http://127.0.0.1:{port}"),
        ("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false"),
        ("DD_REMOTE_CONFIGURATION_ENABLED", "false"),
        ("DD_TRACE_STARTUP_LOGS", "false"),
    ),
)
SENTRY = Tracer(
    "sentry",
    ("sentry-sdk",),
    (),
    (("BENCH_SENTRY", "http://key@127.0.0.1:{port}/1"),),
)
TRACERS = (PLAIN, OURS, TO_NONE, TO_SILENCE, OPENTELEMETRY, DDTRACE, SENTRY)

# Sentry has no command: it is switched on in the code. Here by what Python imports at its start.
_SITECUSTOMIZE = """
import os
if "BENCH_SENTRY" in os.environ:
    import sentry_sdk
    sentry_sdk.init(os.environ["BENCH_SENTRY"], traces_sample_rate=1.0)
"""


def prepare(tracer: Tracer) -> Path | None:
    """The `bin` of the tracer's environment, made where there is none; None, with a message, where
    it cannot be made."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    home = Path("build", "bench-requests", f"{tracer.home or tracer.name}-{version}").absolute()
    binaries = home / "bin"
    is_new = not (home / ".installed").exists()
    try:
        if is_new:
            venv.create(home, with_pip=True, clear=True)
            _pip(binaries, *SERVICES, "--constraint", "requirements/test.txt")
            folder = home / "lib" / f"python{version}" / "site-packages"
            (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE if tracer is SENTRY else "")
        if home.name.startswith(f"{OURS.name}-"):  # as it is now
            _pip(binaries, *tracer.packages, "--no-deps", "--force-reinstall")
        elif is_new and tracer.packages:
            _pip(binaries, *tracer.packages)
        if is_new and tracer.bootstrap:
            _call(str(binaries / tracer.bootstrap[0]), *tracer.bootstrap[1:], path=binaries)
    except (OSError, subprocess.CalledProcessError) as exc:
        said = exc.stderr if isinstance(exc, subprocess.CalledProcessError) else str(exc)
        print(f"left out: {tracer.name} cannot be installed:\n{said.strip()}")
        return None
    (home / ".installed").touch()
    return binaries


def _pip(binaries: Path, *arguments: str) -> None:
    _call(str(binaries / "python"), "-m", "pip", "install", "--quiet", *arguments, path=binaries)


def _call(*command: str, path: Path) -> None:
    environment = {**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(command, check=True, capture_output=True, text=True, env=environment)

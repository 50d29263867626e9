"""The commands as a shell has them: one clear line and the right status when something is wrong,
and a command that behaves as it does without us."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest
from tests.integration.conftest import ASYNCHOOKS, Viewer, answers, environment, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Starter

pytestmark = pytest.mark.slow


def asynchooks(
    *arguments: str, folder: Path, stdin: str | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run one to its end."""
    return subprocess.run(
        [*ASYNCHOOKS, *arguments],
        cwd=folder,
        env=environment({"XDG_STATE_HOME": str(folder), **extra}),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run(*command: str, folder: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """`asynchooks run` without a viewer."""
    return asynchooks("run", "--no-view", "--", *command, folder=folder, **extra)


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


# What is wrong.


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    result = asynchooks("run", "--", "no-such-command", folder=tmp_path)
    assert result.returncode == 127
    assert one_line(result) == "asynchooks: no command 'no-such-command' was found on PATH\n"
    result = asynchooks("run", "--", "./missing.sh", folder=tmp_path)
    assert result.returncode == 127
    assert "there is no file './missing.sh' to run" in one_line(result)


def test_a_file_that_cannot_be_executed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("pass")
    result = asynchooks("run", "--", "./script.py", folder=tmp_path)
    assert result.returncode == 126
    assert "is it a script for `python`?" in one_line(result)


def test_a_script_whose_interpreter_is_missing(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    result = run("./script", folder=tmp_path)
    assert result.returncode == 127
    assert "cannot run './script'" in result.stderr.splitlines()[-1]


def test_a_port_that_is_taken(tmp_path: Path, start: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        for arguments in (["view"], ["run", "--port", port, "--", "true"]):
            result = asynchooks(
                *arguments, *(["--port", port] * (len(arguments) == 1)), folder=tmp_path
            )
            assert result.returncode == 1
            assert f"port {port} on 127.0.0.1 is in use" in one_line(result)
            assert "--port" in result.stderr


def test_a_viewer_that_is_there_already(viewer: Viewer, tmp_path: Path) -> None:
    result = asynchooks("view", "--port", viewer.port, folder=tmp_path)
    assert result.returncode == 1
    assert one_line(result) == f"asynchooks: a viewer is there already: {viewer.url}\n"


def test_a_viewer_that_is_there_already_on_ipv6(start: Starter, tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    options = ("view", "--host", "::1", "--port")
    viewer = Viewer(start.process(*ASYNCHOOKS, *options, "0", "--store", "requests.db"))
    result = asynchooks(*options, viewer.port, folder=tmp_path)
    assert result.returncode == 1
    assert one_line(result) == f"asynchooks: a viewer is there already: {viewer.url}\n"


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for command in (["view"], ["run", "--"]):
        options = ["--port", "0", "--store", "file/requests.db"]
        result = asynchooks(
            command[0], *options, *command[1:], *["true"] * (len(command) - 1), folder=tmp_path
        )
        assert result.returncode == 1
        assert "requests.db cannot be opened" in one_line(result)
        assert "--store" in result.stderr


def test_an_address_that_is_not_this_machine_s(tmp_path: Path) -> None:
    result = asynchooks("view", "--host", "192.0.2.1", "--port", "0", folder=tmp_path)
    assert result.returncode == 1
    assert "cannot listen on 192.0.2.1" in one_line(result)


# What passes through.


@pytest.mark.parametrize("status", [0, 1, 3, 127, 255])
def test_exit_status(tmp_path: Path, status: int) -> None:
    assert run(sys.executable, "-c", f"exit({status})", folder=tmp_path).returncode == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP])
def test_signals(start: Starter, number: signal.Signals) -> None:
    script = "import signal, sys; print('ready', flush=True); signal.pause()"
    command = ("run", "--no-view", "--", sys.executable, "-c", script)
    process = start.process(*ASYNCHOOKS, *command)
    process.wait_until(lambda: "ready" in process.output, "it runs")
    status = process.stop(number)
    # Python turns SIGINT into KeyboardInterrupt, and then ends by the signal.
    assert status == -number


def test_input_output_arguments_and_environment(tmp_path: Path) -> None:
    script = (
        "import os, sys; print(sys.argv[1:], sys.stdin.read(), os.environ['MINE']);"
        "print('to standard error', file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, "--port", "a b", ""]
    result = asynchooks("run", "--no-view", "--", *command, folder=tmp_path, stdin="x", MINE="m")
    assert result.stdout == "['--port', 'a b', ''] x m\n"
    assert result.stderr.splitlines()[-1] == "to standard error"
    assert result.returncode == 0


def test_the_command_is_the_process_that_was_started(start: Starter) -> None:
    script = "import os, signal; print('pid', os.getpid(), flush=True); signal.pause()"
    process = start.process(*ASYNCHOOKS, "run", "--no-view", "--", sys.executable, "-c", script)
    process.wait_until(lambda: f"pid {process.popen.pid}\n" in process.output, "it is the same")


def test_a_program_that_is_no_python_runs_too(tmp_path: Path) -> None:
    result = run("echo", "hello", folder=tmp_path)
    assert result.stdout == "hello\n"


def test_a_pipe_that_is_closed_ends_the_command_as_always(tmp_path: Path) -> None:
    line = f"{' '.join(ASYNCHOOKS)} run --no-view -- yes | head -1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", line],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stdout.split() == ["y", str(128 + signal.SIGPIPE)]


def test_a_terminal_is_the_command_s_own(tmp_path: Path) -> None:
    parent, child = pty.openpty()
    script = "import os, sys; sys.exit(0 if sys.stdin.isatty() and os.isatty(1) else 9)"
    process = subprocess.Popen(
        [*ASYNCHOOKS, "run", "--no-view", "--", sys.executable, "-c", script],
        stdin=child,
        stdout=child,
        stderr=subprocess.DEVNULL,
        env=environment(),
        cwd=tmp_path,
    )
    assert process.wait(60) == 0
    os.close(parent)
    os.close(child)


def test_the_command_has_no_child_that_it_did_not_start(tmp_path: Path) -> None:
    """The viewer is beside it, not below it: a command may wait for all of its children."""
    script = (
        "import os\n"
        "try: os.waitpid(-1, os.WNOHANG)\n"
        "except ChildProcessError: raise SystemExit(0)\n"
        "raise SystemExit(9)"
    )
    arguments = ("run", "--port", "0", "--", sys.executable, "-c", script)
    assert asynchooks(*arguments, folder=tmp_path).returncode == 0


# The viewer beside a command.


def test_run_starts_a_viewer_that_lives_as_long_as_the_command(start: Starter) -> None:
    script = "import signal; signal.pause()"
    command = ("run", "--port", "0", "--store", "requests.db", "--", sys.executable, "-c", script)
    process = start.process(*ASYNCHOOKS, *command)
    viewer = Viewer(process)
    assert viewer.requests() == []
    process.stop(signal.SIGKILL)
    wait_until(lambda: not answers(viewer.url), "the viewer has ended too")


def test_run_uses_a_viewer_that_is_there_and_leaves_it(viewer: Viewer, tmp_path: Path) -> None:
    result = asynchooks("run", "--port", viewer.port, "--", "true", folder=tmp_path)
    assert result.returncode == 0
    assert one_line(result) == f"asynchooks: requests at {viewer.url}\n"
    assert answers(viewer.url)


def test_run_says_so_when_that_viewer_has_another_store(viewer: Viewer, tmp_path: Path) -> None:
    store = viewer.get("/api/health")["store"]
    options = ("--port", viewer.port, "--store")
    same = asynchooks("run", *options, store, "--", "true", folder=tmp_path)
    assert one_line(same) == f"asynchooks: requests at {viewer.url}\n"
    other = asynchooks("run", *options, "other.db", "--", "true", folder=tmp_path)
    assert other.returncode == 0
    assert one_line(other).endswith(f"(its viewer is there already, and stores them in {store})\n")
    assert not (tmp_path / "other.db").exists()


def test_run_sends_to_a_collector_that_the_environment_names(tmp_path: Path) -> None:
    script = "import os; print(os.environ['OTEL_EXPORTER_OTLP_ENDPOINT'], os.environ['ASYNCHOOKS'])"
    url = "http://collector.example:4318"
    result = asynchooks(
        "run", "--", sys.executable, "-c", script, folder=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url
    )
    assert result.stdout == f"{url} trace\n"
    assert result.stderr == f"asynchooks: traces go to {url}\n"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OTEL_TRACES_EXPORTER", "file", "traces go where OTEL_TRACES_EXPORTER says: file"),
        ("OTEL_TRACES_EXPORTER", "None", "traces go where OTEL_TRACES_EXPORTER says: none"),
        ("OTEL_SDK_DISABLED", "true", "nothing is traced: OTEL_SDK_DISABLED is true"),
    ],
)
def test_run_starts_no_viewer_for_traces_that_do_not_come_to_it(
    tmp_path: Path, name: str, value: str, said: str
) -> None:
    result = asynchooks("run", "--", "true", folder=tmp_path, **{name: value})
    assert result.returncode == 0
    assert one_line(result) == f"asynchooks: {said}\n"
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_command_runs_all_the_same(tmp_path: Path) -> None:
    """As after a plain `pip install asynchooks`: starlette is not there."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "starlette.py").write_text("raise ModuleNotFoundError('none', name='starlette')")
    result = asynchooks(
        "run",
        "--port",
        "0",
        "--",
        sys.executable,
        "-c",
        "print('ran')",
        folder=tmp_path,
        PYTHONPATH=str(hidden),
    )
    assert result.returncode == 0
    assert result.stdout == "ran\n"
    assert 'pip install "asynchooks[view]"' in result.stderr
    result = asynchooks("view", "--port", "0", folder=tmp_path, PYTHONPATH=str(hidden))
    assert result.returncode == 1
    assert 'pip install "asynchooks[view]"' in one_line(result)


def test_a_service_is_called_as_it_is_told(start: Starter, viewer: Viewer) -> None:
    script = (
        "import asynchooks.tracing as t\n"
        "request = t.start_request(request_id='r1', method='GET', path='/job')\n"
        "request.span.end()\n"
    )
    options = ("run", "--port", viewer.port, "--service", "nightly", "--")
    process = start.process(*ASYNCHOOKS, *options, sys.executable, "-c", script)
    assert process.popen.wait(60) == 0, process.output
    (request,) = viewer.requests()
    assert (request["service"], request["request_id"]) == ("nightly", "r1")


# A receiver that is not there.


def test_a_dead_receiver_costs_one_line_of_log(start: Starter, port: int) -> None:
    (start.folder / "plain.py").write_text(
        "async def app(scope, receive, send):\n"
        "    headers = [(b'content-length', b'2')]\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': headers})\n"
        "    await send({'type': 'http.response.body', 'body': b'ok'})\n"
    )
    server = start.process(
        *ASYNCHOOKS,
        "run",
        "--no-view",
        "--port",
        "1",
        "--",
        "uvicorn",
        "plain:app",
        "--lifespan",
        "off",
        "--port",
        str(port),
        "--no-access-log",
    )
    url = f"http://127.0.0.1:{port}"
    server.wait_until(lambda: answers(url), "it answers")
    for _ in range(100):
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert answer.read() == b"ok"
    server.wait_until(lambda: "cannot export" in server.output, "it says so")
    server.stop()
    assert server.output.count("cannot export") == 1


# The demo.


def test_the_demo_sends_one_round_and_shows_it(start: Starter) -> None:
    process = start.process(*ASYNCHOOKS, "demo", "--once", "--port", "0")
    assert process.popen.wait(120) == 0, process.output
    output = process.output
    assert "60 requests" in output
    assert "Slowest" in output
    assert "GET /orders/{order_id}/shipping" in output
    assert "x8  SELECT id, customer_id, status FROM orders" in output
    assert "sqlite3.IntegrityError: CHECK constraint failed" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_stays_until_it_is_stopped(start: Starter, number: signal.Signals) -> None:
    process = start.process(*ASYNCHOOKS, "demo", "--port", "0")
    process.wait_until(lambda: "Ctrl-C ends it all" in process.output, "the round is over")
    url = process.output.partition("The page: ")[2].split()[0]
    with urllib.request.urlopen(f"{url}/api/requests", timeout=60) as answer:
        assert len(json.load(answer)["requests"]) >= 60
    status = process.stop(number)
    assert status == (0 if number is signal.SIGINT else 128 + number)
    assert "Traceback" not in process.output
    wait_until(lambda: not answers(url), "the page is gone too")

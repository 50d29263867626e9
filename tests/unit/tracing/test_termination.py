"""SIGTERM: what ended before it is delivered, and the process dies by it as it would without us."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

# Each prints a line when it is ready, with how many spans have ended for certain.
PRELUDE = """
import os, signal, sys, threading, time
from asynchooks import tracing
from asynchooks.tracing import Span

tracing.install()

def end(count):
    for number in range(count):
        Span("work").end()

def say(*words):
    print(*words, flush=True)
"""

BLOCKED = """
end(100)
say("ready", 100)
threading.Event().wait()
"""
# Each name is printed after its span has ended.
UNDER_LOAD = """
def work(thread):
    number = 0
    while True:
        number += 1
        name = f"{thread}-{number}"
        Span(name).end()
        os.write(1, f"{name}\\n".encode())
for thread in range(3):
    threading.Thread(target=work, args=(thread,), daemon=True).start()
work("main")
"""
COMPUTING = """
end(100)
say("ready", 100)
number = 1
while True:
    number = number * 3 % 1000003
"""
# As uvicorn does: handlers of its own, the default put back, and the signal raised once more.
LIKE_UVICORN = """
import signal as _signal
caught = []
before = _signal.signal(_signal.SIGTERM, lambda *args: caught.append(args))
assert before == _signal.SIG_DFL, before
say("ready", 100)
while not caught:
    time.sleep(0.01)
end(100)
_signal.signal(_signal.SIGTERM, before)
_signal.raise_signal(_signal.SIGTERM)
say("still alive")
"""
LIKE_UVICORN_BY_KILL = LIKE_UVICORN.replace(
    "_signal.raise_signal(_signal.SIGTERM)", "os.kill(os.getpid(), _signal.SIGTERM)"
)
HANDLED_BY_ASYNCIO = """
import asyncio
async def main():
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    end(50)
    say("ready", 100)
    await stop.wait()
    end(50)
    loop.remove_signal_handler(signal.SIGTERM)
asyncio.run(main())
os.kill(os.getpid(), signal.SIGTERM)
say("still alive")
"""
FORKED = """
end(50)
tracing.flush()
child = os.fork()
if child == 0:
    end(50)
    say("ready", 100, os.getpid())
    threading.Event().wait()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
signal.raise_signal(signal.SIGTERM)
"""


def spans_in(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [
        span["name"]
        for line in path.read_text().splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def start(script: str, path: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script],
        stdout=subprocess.PIPE,
        text=True,
        env={
            "OTEL_TRACES_EXPORTER": "file",
            "ASYNCHOOKS_TRACES_FILE": str(path),
            "OTEL_BSP_SCHEDULE_DELAY": "600000",  # nothing leaves before it has to
            "OTEL_BSP_MAX_QUEUE_SIZE": "1000000",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1000000",
            **environment,
        },
    )


def said(process: subprocess.Popen[str]) -> list[str]:
    """The words of the next line that it prints."""
    assert process.stdout is not None
    return process.stdout.readline().split()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(BLOCKED, id="blocked"),
        pytest.param(COMPUTING, id="computing"),
        pytest.param(LIKE_UVICORN, id="like-uvicorn"),
        pytest.param(LIKE_UVICORN_BY_KILL, id="like-uvicorn-by-kill"),
        pytest.param(HANDLED_BY_ASYNCIO, id="handled-by-asyncio"),
    ],
)
def test_what_ended_before_is_delivered(tmp_path: Path, script: str) -> None:
    path = tmp_path / "traces.jsonl"
    with start(script, path) as process:
        word, count = said(process)
        assert word == "ready"
        assert spans_in(path) == []
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[0] == "", "the main thread went on"
    assert process.returncode == -signal.SIGTERM
    assert len(spans_in(path)) >= int(count)


@pytest.mark.parametrize("lines", [1, 100, 3000])
def test_under_load_too(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "traces.jsonl"
    with start(UNDER_LOAD, path) as process:
        before = {said(process)[0] for _ in range(lines)}
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    delivered = spans_in(path)
    assert before <= set(delivered)
    assert len(set(delivered)) == len(delivered), "twice"


def test_a_forked_child_delivers_its_own(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    with start(FORKED, path) as process:
        *_, child = said(process)
        os.kill(int(child), signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    assert len(spans_in(path)) == 100


def test_a_forked_child_without_spans_dies_at_once(tmp_path: Path) -> None:
    script = """
end(1)
child = os.fork()
if child == 0:
    say("ready", os.getpid())
    threading.Event().wait()
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
say(status)
"""
    with start(script, tmp_path / "traces.jsonl") as process:
        _, child = said(process)
        os.kill(int(child), signal.SIGTERM)
        assert process.communicate(timeout=60)[0] == f"{-signal.SIGTERM}\n"
    assert process.returncode == 0


def test_a_receiver_that_hangs_delays_it_by_two_seconds_at_most(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        environment = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "60000",
        }
        with start(BLOCKED, tmp_path / "unused", **environment) as process:
            said(process)
            process.send_signal(signal.SIGTERM)
            connection, _ = server.accept()  # it tries, and nobody answers
            with connection:
                assert process.wait(60) == -signal.SIGTERM


SIGNAL_LOOKS_UNTOUCHED = """
end(1)
assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
assert signal.signal(signal.SIGTERM, signal.SIG_IGN) == signal.SIG_DFL
os.kill(os.getpid(), signal.SIGTERM)  # ignored, and we leave it so
assert signal.signal(signal.SIGTERM, signal.SIG_DFL) == signal.SIG_IGN
before = signal.signal(signal.SIGTERM, print)
assert before == signal.SIG_DFL
assert [thread.name for thread in threading.enumerate()] == ["MainThread"]
try:
    signal.signal("no signal", print)
except TypeError as exc:
    assert exc.__traceback__.tb_next.tb_next is None
else:
    raise AssertionError("no error")
tracing.uninstall()
signal.signal(signal.SIGTERM, signal.SIG_DFL)
say("done")
"""


def test_python_sees_no_handler(tmp_path: Path) -> None:
    with start(SIGNAL_LOOKS_UNTOUCHED, tmp_path / "traces.jsonl") as process:
        assert process.communicate(timeout=60)[0] == "done\n"
    assert process.returncode == 0

"""SIGTERM to real servers: each request that was answered is delivered, and the server ends as it
does without us."""

from __future__ import annotations

import json
import signal
import urllib.request
from typing import TYPE_CHECKING

import pytest
from tests.integration.conftest import answers, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Starter

pytestmark = pytest.mark.slow

REQUESTS = 50
APPLICATION = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("HTTP only")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"yes"})
"""
COMMANDS = {
    "uvicorn": "uvicorn --lifespan off --loop asyncio --port {port} plain:app",
    "uvicorn-uvloop": "uvicorn --lifespan off --loop uvloop --port {port} plain:app",
    "uvicorn-workers": "uvicorn --lifespan off --workers 2 --port {port} plain:app",
    "gunicorn": "gunicorn -k uvicorn_worker.UvicornWorker -w 2 -b 127.0.0.1:{port} plain:app",
    "hypercorn": "hypercorn -b 127.0.0.1:{port} plain:app",
}


def run(start: Starter, command: str, port: int, **variables: str) -> int:
    """Ask the server so many times, then send SIGTERM. Returns its exit status."""
    server = start.process(*command.format(port=port).split(), **variables)
    url = f"http://127.0.0.1:{port}"
    server.wait_until(lambda: answers(f"{url}/health"), "the server answers")
    for number in range(REQUESTS):
        with urllib.request.urlopen(f"{url}/{number}", timeout=30) as response:
            assert response.read() == b"yes"
    return server.stop(signal.SIGTERM)


def paths_in(path: Path) -> list[str]:
    return [
        pair["value"]["stringValue"]
        for line in path.read_text().splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
        for pair in span["attributes"]
        if pair["key"] == "url.path"
    ]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_each_answered_request_is_delivered(start: Starter, command: str) -> None:
    (start.folder / "plain.py").write_text(APPLICATION)
    path = start.folder / "traces.jsonl"
    plain = run(start, command, free_port())
    traced = run(
        start,
        command,
        free_port(),
        ASYNCHOOKS="trace",
        OTEL_TRACES_EXPORTER="file",
        ASYNCHOOKS_TRACES_FILE=str(path),
        OTEL_BSP_SCHEDULE_DELAY="600000",  # nothing leaves before it has to
    )
    assert traced == plain
    asked = [path for path in paths_in(path) if path != "/health"]
    assert sorted(asked) == sorted(f"/{number}" for number in range(REQUESTS))

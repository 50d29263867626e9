"""`asynchooks run` with the servers and the ways of starting them that people use."""

from __future__ import annotations

import signal
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from tests.integration.conftest import answers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Process, Starter, Viewer

pytestmark = pytest.mark.slow

REQUESTS = 20

# An application on no framework, which knows nothing of us.
APPLICATION = """
import logging
import os
import sqlite3

logger = logging.getLogger("plain")
logger.setLevel(logging.INFO)


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("HTTP only")
    name = scope["path"].strip("/")
    if name != "health":
        connection = sqlite3.connect(":memory:")
        connection.execute(f"SELECT 1 /* {name} */").fetchall()
        connection.close()
        logger.info("served %s", name)
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": f"VERSION {os.getpid()}".encode()})
"""
# The same for WSGI.
WSGI_APPLICATION = """

def wsgi(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    if name != "health":
        connection = sqlite3.connect(":memory:")
        connection.execute(f"SELECT 1 /* {name} */").fetchall()
        connection.close()
        logger.info("served %s", name)
    start_response("200 OK", [("content-type", "text/plain")])
    return [f"VERSION {os.getpid()}".encode()]
"""
VERSION = "one"
SCRIPT = """
import sys

import uvicorn

from plain import app

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""

COMMANDS = {
    "uvicorn": "uvicorn plain:app --port {port}",
    "uvicorn-h11": "uvicorn plain:app --http h11 --port {port}",
    "uvicorn-workers": "uvicorn plain:app --workers 2 --port {port}",
    "uvicorn-reload": "uvicorn plain:app --reload --port {port}",
    "python-m-uvicorn": "{python} -m uvicorn plain:app --port {port}",
    # At SIGINT gunicorn waits for its workers in vain, also without us.
    "gunicorn": (
        "gunicorn --graceful-timeout 1 -k uvicorn_worker.UvicornWorker -w 2 "
        "-b 127.0.0.1:{port} plain:app"
    ),
    "gunicorn-preload": (
        "gunicorn --preload -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{port} plain:app"
    ),
    "hypercorn": "hypercorn -b 127.0.0.1:{port} plain:app",
    "hypercorn-workers": "hypercorn -w 2 -b 127.0.0.1:{port} plain:app",
    "gunicorn-sync": "gunicorn -w 2 -b 127.0.0.1:{port} plain:wsgi",
    "gunicorn-gthread": "gunicorn -w 2 --threads 4 -b 127.0.0.1:{port} plain:wsgi",
    "waitress": "waitress-serve --listen 127.0.0.1:{port} plain:wsgi",
    "granian": "granian --interface asginl --workers 2 --port {port} plain:app",
    "granian-wsgi": "granian --interface wsgi --port {port} plain:wsgi",
    "daphne": "daphne -p {port} plain:app",
    "python-m-package": "{python} -m package {port}",
    "python-script": "{python} script.py {port}",
}
# By what the command runs, where that is not the application's module.
SERVICES = {"python-m-package": "package", "python-script": "script"}


def write_application(folder: Path, version: str = VERSION) -> None:
    application = APPLICATION + WSGI_APPLICATION
    (folder / "plain.py").write_text(application.replace("VERSION", version))
    (folder / "script.py").write_text(SCRIPT)
    (folder / "package").mkdir(exist_ok=True)
    (folder / "package" / "__init__.py").write_text("")
    (folder / "package" / "__main__.py").write_text(SCRIPT)


def get(url: str, request_id: str = "") -> tuple[str, str]:
    """The answer's body, and the request id that it carries."""
    request = urllib.request.Request(
        url, headers={"x-request-id": request_id} if request_id else {}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode(), answer.headers.get("x-request-id", "")


def start_server(start: Starter, viewer: Viewer, command: str, port: int) -> Process:
    write_application(start.folder)
    words = command.format(python=sys.executable, port=port).split()
    server = start.run(*words, viewer=viewer)
    server.wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"), "it answers")
    return server


@pytest.mark.parametrize("name", COMMANDS)
def test_each_request_has_its_query_and_its_log_line(
    start: Starter, viewer: Viewer, port: int, name: str
) -> None:
    server = start_server(start, viewer, COMMANDS[name], port)
    names = [f"mark-{number:02}" for number in range(REQUESTS)]
    for mark in names:
        assert get(f"http://127.0.0.1:{port}/{mark}", f"id-{mark}")[1] == f"id-{mark}"

    def found() -> dict[str, str]:
        return {one["request_id"]: one["trace_id"] for one in viewer.requests() if one["queries"]}

    server.wait_until(lambda: len(found()) >= REQUESTS, "the viewer has all requests")
    assert {one["service"] for one in viewer.requests()} == {SERVICES.get(name, "plain")}
    traces = found()
    for mark in names:
        spans = viewer.spans(traces[f"id-{mark}"])
        queries = [span["attributes"]["db.query.text"] for span in spans if span["is_query"]]
        assert queries == [f"SELECT ? /* {mark} */"]
        lines = [event["attributes"].get("log.message") for s in spans for event in s["events"]]
        assert lines.count(f"served {mark}") == 1
    server.stop()


def test_the_reloader_s_new_process_is_traced(start: Starter, viewer: Viewer, port: int) -> None:
    server = start_server(start, viewer, COMMANDS["uvicorn-reload"], port)
    url = f"http://127.0.0.1:{port}"
    assert get(f"{url}/before")[0].startswith("one")
    written_at = float("-inf")

    def is_new() -> bool:
        nonlocal written_at
        # Again and again: a watcher that is not yet watching does not see the first change.
        if time.monotonic() - written_at > 5:
            written_at = time.monotonic()
            write_application(start.folder, "second")
        try:
            return get(f"{url}/after", "id-after")[0].startswith("second")
        except OSError:  # between the old process and the new one
            return False

    server.wait_until(is_new, "the new code answers")
    server.wait_until(
        lambda: any(one["request_id"] == "id-after" for one in viewer.requests()),
        "the viewer has the request",
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["uvicorn", "uvicorn-workers", "gunicorn", "hypercorn"])
def test_what_ended_just_before_the_server_is_not_lost(
    start: Starter, viewer: Viewer, port: int, name: str, number: signal.Signals
) -> None:
    server = start_server(start, viewer, COMMANDS[name], port)
    get(f"http://127.0.0.1:{port}/last", "id-last")
    server.stop(number)
    assert "id-last" in {one["request_id"] for one in viewer.requests()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["uvicorn", "gunicorn", "hypercorn"])
def test_a_server_ends_with_the_status_that_it_has_without_us(
    start: Starter, viewer: Viewer, port: int, name: str, number: signal.Signals
) -> None:
    traced = start_server(start, viewer, COMMANDS[name], port)
    status = traced.stop(number)
    plain = start.process(*COMMANDS[name].format(python=sys.executable, port=port).split())
    plain.wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"), "it answers")
    assert plain.stop(number) == status

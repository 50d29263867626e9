"""gunicorn forks its workers from a master that has the engine on, and its own tasks running."""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Starter

pytestmark = pytest.mark.slow

APPLICATION = """
import asyncio, json, os, threading
import asynchooks
from asynchooks import _native
asynchooks.enable()
told = {"init": 0, "destroy": 0}
def count(event):
    told[event] += 1
asynchooks.create_hook(
    init=lambda *args: count("init"), destroy=lambda async_id: count("destroy")
).enable()
runs = threading.Event()
async def background():
    while True:
        runs.set()
        await asyncio.sleep(0.001)
imported_by = os.getpid()
keep = [asynchooks.AsyncResource("of the master") for _ in range(5)]
threading.Thread(target=lambda: asyncio.run(background()), daemon=True).start()
runs.wait()
async def leaf():
    await asyncio.sleep(0)
    return asynchooks.execution_async_id()
async def gather():
    return await asyncio.gather(*[leaf() for _ in range(5)])
def application(environ, start_response):
    ids = asyncio.run(gather())
    alive = _native.live_counts()
    body = json.dumps({
        "enabled": asynchooks.is_enabled(),
        "preloaded": imported_by != os.getpid(),
        "ids": ids,
        "master ids": [resource.async_id() for resource in keep],
        "alive": {kind: number for kind, number in alive.items() if number},
        "known": len(asynchooks.resources()),
        "top": asynchooks._native.call_detached(asyncio.run, leaf()) and
               asynchooks.execution_async_id(),
        "told": told,
    }).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
"""


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_workers_start_with_an_empty_table(
    start: Starter, port: int, preload: tuple[str, ...]
) -> None:
    (start.folder / "prefork.py").write_text(APPLICATION)
    address = f"127.0.0.1:{port}"
    command = ("gunicorn", "--workers", "2", *preload, "--bind", address, "prefork:application")
    gunicorn = start.process(sys.executable, "-m", *command)
    gunicorn.wait_until(
        lambda: gunicorn.output.count("Booting worker") == 2, "both workers are there"
    )
    answers: list[dict[str, Any]] = []
    for _ in range(10):
        with urllib.request.urlopen(f"http://{address}/", timeout=60) as answer:
            answers.append(json.load(answer))
    assert gunicorn.stop() == 0
    for answer in answers:
        assert answer["enabled"]
        assert answer["preloaded"] == bool(preload)
        assert len(set(answer["ids"])) == 5
        assert min(answer["ids"]) > max(answer["master ids"])
        assert answer["top"] == 1
        assert answer["told"]["destroy"] > 0
        if preload:
            assert answer["alive"] == {}
            assert answer["known"] == 0
        else:
            assert answer["alive"]["AsyncResource"] == 5
    assert "Traceback" not in gunicorn.output

"""Threads and executors: the rows t01 to t20."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asynchooks


def test_t05_thread(engine: None, storage: asynchooks.AsyncLocalStorage[str | None]) -> None:
    seen: list[str | None] = []
    thread = threading.Thread(target=lambda: seen.append(storage.get_store()))

    storage.run("A", thread.start)
    thread.join()

    assert seen == ["A"]

"""Telling open pages what has come, by server-sent events."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ("Live",)

# A page that does not read is told less, not kept waiting for.
MAXIMUM_WAITING = 64
# Seconds between signs of life, so that both sides notice when the other is gone.
KEEP_ALIVE = 15.0


class Live:
    """The open pages of one viewer. Used on its event loop only."""

    def __init__(self) -> None:
        self._pages: set[asyncio.Queue[str | None]] = set()

    def publish(self, name: str, data: Any) -> None:
        """Tell every page; one whose queue is full is told to load anew instead."""
        message = f"event: {name}\ndata: {json.dumps(data)}\n\n"
        for page in self._pages:
            if page.full():
                while not page.empty():
                    page.get_nowait()
                page.put_nowait("event: reload\ndata: {}\n\n")
            else:
                page.put_nowait(message)

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        for page in self._pages:
            if page.full():
                page.get_nowait()
            page.put_nowait(None)

    @property
    def has_pages(self) -> bool:
        """Whether anybody is to be told."""
        return bool(self._pages)

    async def stream(self) -> AsyncIterator[str]:
        """The events for one page, until it is closed."""
        with self._page() as page:
            yield "retry: 1000\n\n"
            while True:
                try:
                    message = await asyncio.wait_for(page.get(), KEEP_ALIVE)
                except TimeoutError:
                    message = ": still here\n\n"
                if message is None:
                    return
                yield message

    @contextmanager
    def _page(self) -> Iterator[asyncio.Queue[str | None]]:
        page: asyncio.Queue[str | None] = asyncio.Queue(MAXIMUM_WAITING)
        self._pages.add(page)
        try:
            yield page
        finally:
            self._pages.discard(page)

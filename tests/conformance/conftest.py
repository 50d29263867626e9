"""Every program of the checklist runs on asyncio's loop and on uvloop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest
import uvloop

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class Run(Protocol):
    """Runs a coroutine to its end on a loop of its own."""

    def __call__(self, main: Coroutine[Any, Any, T], /) -> T: ...


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run(main: Coroutine[Any, Any, T], /) -> T:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main)

    return run

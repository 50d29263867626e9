"""One test for each row of docs/boundaries.md, named by its id: `test_t05_thread`.

A row passes by itself, or with the tool that `@pytest.mark.tool("bind")` names, or shows what
happens where nothing helps: `@pytest.mark.impossible("why")`. A control works without us, too: it
asks for `engine_on_or_off` in the place of `engine`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

import asynchooks

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """`asyncio.run`, on either loop."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(coroutine)

    return run


@pytest.fixture(params=["off", "on"])
def engine_on_or_off(request: pytest.FixtureRequest) -> Iterator[None]:
    """The engine, in force or not: what works without us works with us."""
    if request.param == "on":
        asynchooks.enable()
    yield
    if request.param == "on":
        asynchooks.disable()


@pytest.fixture
def storage() -> asynchooks.AsyncLocalStorage[str | None]:
    """A storage that is nobody else's; without a store it gives None."""
    return asynchooks.AsyncLocalStorage(name="row")

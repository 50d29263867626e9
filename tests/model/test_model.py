"""Random programs: the C core and the model of its semantics agree on every event and every edge,
and no program can tell that we are there.

`make test-model EXAMPLES=20000` draws many; `make test` the same few each time.
"""

from __future__ import annotations

import gc
import itertools
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.model import worlds
from tests.model.programs import programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.programs import Body
    from tests.model.worlds import Outcome

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))

profile = settings(
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

checks = itertools.count(1)


@pytest.fixture(autouse=True)
def quiet_collector() -> Iterator[None]:
    """Programs collect garbage when they look, and at no other time; and only their own."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def noticed(outcome: Outcome) -> list[Any]:
    """The log without the reports of exceptions that nobody retrieved: these are told when an
    object goes, and the model's objects go in other places."""
    return [entry for entry in outcome.log if entry[1] != "unseen"]


def told(outcome: Outcome) -> list[Any]:
    """All events but deaths, which are told some time after."""
    return [event for event in outcome.events if event[0] != "destroy"]


def check_deaths(hooked: Outcome, model: Outcome) -> None:
    """Each death is told once, and not of the living. What was gone at a look is told when the
    outermost step ends; a thread is one step as a whole, and so is not what counts."""
    types: dict[int, str] = {}
    running: list[int] = []
    gone: set[int] = set()
    due: set[int] = set()
    destroyed: set[int] = set()
    for event, async_id, *details in hooked.events:
        if event == "destroy":
            assert async_id not in destroyed, async_id
            destroyed.add(async_id)
            continue
        assert due <= destroyed, due - destroyed
        if event == "init":
            types[async_id] = details[0]
        elif event == "before":
            running.append(async_id)
        elif event == "after":
            assert running.pop() == async_id
            if not running or types[running[-1]] == "Thread":
                due = gone
        elif event == "look":
            alive = {row[0] for row in model.looks[async_id][3]}
            assert not alive & destroyed, "some of the living are destroyed"
            gone = set(types) - alive
    assert destroyed == set(types)


def check(program: Body, loop: str) -> None:
    if next(checks) % 1000 == 0:
        gc.unfreeze()
        gc.collect()
    gc.freeze()  # what was made to draw the program
    plain = worlds.run_plain(program, loop)
    tracked = worlds.run_tracked(program, loop)
    hooked = worlds.run_hooked(program, loop)
    model = worlds.run_model(program, loop)
    assert tracked.log == plain.log
    assert hooked.log == plain.log
    assert noticed(model) == noticed(plain), "the model is no model of asyncio"
    assert told(hooked) == told(model)
    assert tracked.looks == model.looks
    assert hooked.looks == model.looks
    check_deaths(hooked, model)


@profile
@given(programs(has_time=True))
def test_asyncio(program: Body) -> None:
    check(program, "asyncio")


@profile
@given(programs(has_time=False))
def test_uvloop(program: Body) -> None:
    check(program, "uvloop")

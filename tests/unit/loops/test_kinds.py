"""The table in docs/loops.md is true: each of its programs is run on both loops, and what hooks are
told of it is compared with the table's rows."""

from __future__ import annotations

import asyncio
import gc
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import uvloop
from tests.conftest import Activity
from tests.unit.loops.programs import PROGRAMS

import asynchooks

FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
DOCUMENT = Path(__file__).parents[3] / "docs" / "loops.md"

# What every program is made of has rows of its own; and how a loop waits for the end of a
# subprocess depends on the version of Python.
PLUMBING = {"Task", "Future", "Handle", "TimerHandle"}
PLUMBING_OF = {"subprocess": {"Reader", "Thread"}, "`ProcessPoolExecutor`": {"Thread"}}
SHOWN_OF = {
    "task": {"Task"},
    "future": {"Future"},
    "`call_soon`": {"Handle"},
    "`call_later`, `call_at`": {"TimerHandle"},
}


class Row(NamedTuple):
    """One row of the table, for one loop."""

    program: str
    type: str
    maker: str
    events: str


def rows_of(loop: str) -> set[Row]:
    rows = set()
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 6 and cells[0] in PROGRAMS:
            program, _, type_name, maker, on_asyncio, on_uvloop = cells
            events = on_asyncio if loop == "asyncio" else on_uvloop
            if events != "-":
                rows.add(Row(program, type_name.strip("`"), maker.strip("`"), events))
    return rows


def events_of(events: list[str]) -> str:
    names = ("init", "before", "after", "settled", "destroy")
    return ", ".join(name for name in names if name in events)


def seen_of(name: str, loop: str) -> set[Row]:
    """What there is to tell of one program."""
    activity = Activity()

    async def main() -> tuple[int, int]:
        await PROGRAMS[name]()
        return asynchooks.execution_async_id(), asynchooks.AsyncResource("End").async_id()

    with asyncio.Runner(loop_factory=FACTORIES[loop]) as runner:
        runner.get_loop()
        activity.hook.enable()
        me, end = runner.run(main())
    activity.forget_resources()
    gc.collect()
    asynchooks.AsyncResource("Flush").run_in_async_scope(len, "")
    activity.hook.disable()
    activity.check()

    hidden = PLUMBING - SHOWN_OF.get(name, set()) | PLUMBING_OF.get(name, set())
    makers = {me: "the caller", 0: "nobody"}
    makers |= {i: life.type for i, life in activity.lives.items() if i != me}
    return {
        Row(name, life.type, makers[life.trigger], events_of(life.events))
        for i, life in activity.lives.items()
        if life.type not in hidden and me < i < end and life.trigger in makers
    }


@pytest.mark.parametrize("loop", FACTORIES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_table_says_what_is_seen(engine: None, name: str, loop: str) -> None:
    assert seen_of(name, loop) == {row for row in rows_of(loop) if row.program == name}


def test_every_kind_is_in_the_table() -> None:
    kinds = set(re.findall(r"^\| [^|]*\| (\w+) +\|", DOCUMENT.read_text(), re.MULTILINE))
    assert set(asynchooks.KINDS) == kinds - {"kind"}

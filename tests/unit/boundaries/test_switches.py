"""Each boundary is on with the engine, off by its name, and leaves nothing behind."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks
from asynchooks import boundaries, loops
from asynchooks._patching import Patches
from asynchooks._reporting import forget_reports
from asynchooks.integrations import Integration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asynchooks.boundaries import Boundary

TIMES = 1000

# Those of other people's libraries are in test_integrations.py.
BOUNDARIES = [b for b in boundaries.BOUNDARIES if not isinstance(b, Integration)]

each_boundary = pytest.mark.parametrize("boundary", BOUNDARIES, ids=lambda boundary: boundary.NAME)


@pytest.fixture(autouse=True)
def all_modules() -> Iterator[None]:
    """What boundaries wait for is imported, so that each makes all its patches; none waits in
    vain."""
    for boundary in BOUNDARIES:
        for name in awaited(boundary):
            assert find_spec(name) is not None, name
            importlib.import_module(name)
    yield
    asynchooks.disable()


def awaited(boundary: Boundary) -> list[str]:
    patches = Patches()
    boundary.install(patches)
    names = patches.awaited_modules()
    patches.undo()
    return names


def on() -> list[str]:
    return [b.NAME for b in BOUNDARIES if boundaries.patches_of(b) is not None]


def state_of(owners: list[Any]) -> list[list[tuple[str, int]]]:
    """Every attribute, which object it is, and in which order they stand."""
    return [[(name, id(value)) for name, value in vars(owner).items()] for owner in owners]


@each_boundary
def test_a_thousand_times(boundary: Boundary) -> None:
    patches = Patches()
    boundary.install(patches)
    replaced = [(owner, name) for owner, name, _, _ in patches._replaced]
    is_patching = boundary.NAME != "generators"  # sys.monitoring tells it all that it wants
    assert bool(replaced) == is_patching
    patches.undo()
    owners = list(dict.fromkeys(owner for owner, _ in replaced))
    before = state_of(owners)
    for _ in range(TIMES):
        boundary.install(patches)
        patches.undo()
    assert state_of(owners) == before
    boundary.install(patches)
    assert (state_of(owners) != before) == is_patching
    patches.undo()
    assert (patches.listed(), patches.awaited_modules()) == ([], [])


def test_loops_a_thousand_times() -> None:
    asynchooks.enable()
    replaced = [entry[:2] for p in (loops._patches, loops.uvloop._patches) for entry in p._replaced]
    assert replaced
    asynchooks.disable()
    owners = list(dict.fromkeys(owner for owner, _ in replaced))
    before = state_of(owners)
    for _ in range(TIMES):
        loops.install()
        loops.uninstall()
    assert state_of(owners) == before


NOTHING_IS_PATCHED = """
import importlib, sys
NAMES = sys.argv[1:]
def state():
    found = {}
    for name in NAMES:
        module = sys.modules[name]
        for owner in [module, *(v for v in vars(module).values() if isinstance(v, type))]:
            found[owner] = [(key, id(value)) for key, value in vars(owner).items()]
    return found
for name in NAMES:
    importlib.import_module(name)
before = state()
import asynchooks
assert state() == before
asynchooks.enable()
during = state()
asynchooks.disable()
# Types make their __doc__ and the like when somebody looks.
assert state() == before, [
    (owner, set(found) ^ set(before[owner]))
    for owner, found in state().items() if found != before[owner]]
print(*sorted(owner.__name__ for owner in before if during[owner] != before[owner]))
"""


def test_with_the_engine_off_nothing_is_patched() -> None:
    owners: list[Any] = []
    for boundary in BOUNDARIES:
        patches = Patches()
        boundary.install(patches)
        owners += [entry[0] for entry in patches._replaced]
        patches.undo()
    modules = {o.__module__ if isinstance(o, type) else o.__name__ for o in owners}
    done = subprocess.run(
        [sys.executable, "-c", NOTHING_IS_PATCHED, *sorted(modules)],
        check=True,
        capture_output=True,
        text=True,
    )
    patched = done.stdout.split()
    for owner in owners:
        assert owner.__name__ in patched


@each_boundary
def test_the_application_cannot_tell(boundary: Boundary) -> None:
    patches = Patches()
    boundary.install(patches)
    try:
        for owner, name, original, value in patches._replaced:
            patched = getattr(owner, name)
            if type(value).__name__ == "function":  # functools.wraps
                assert value.__wrapped__ is original
                continue
            plain = patched.__wrapped__
            for attribute in ("__name__", "__qualname__", "__module__", "__doc__", "__class__"):
                found, expected = (getattr(fn, attribute, None) for fn in (patched, plain))
                assert found == expected, (name, attribute)
            assert repr(patched) == repr(plain)
            assert copy.deepcopy(patched) is patched
            if inspect.isfunction(plain):
                assert inspect.isfunction(patched)
                assert inspect.signature(patched) == inspect.signature(plain)
                assert inspect.getsource(patched) == inspect.getsource(plain)
            if original is plain:  # and not inherited: then it is found elsewhere, by its name
                assert pickle.loads(pickle.dumps(patched)) is patched
    finally:
        patches.undo()


@each_boundary
def test_off_by_name(boundary: Boundary, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [b.NAME for b in BOUNDARIES]
    others = [name for name in names if name != boundary.NAME]
    asynchooks.enable()
    assert on() == names
    asynchooks.enable(boundaries={boundary.NAME: False})
    assert on() == others
    asynchooks.enable()
    assert on() == names
    monkeypatch.setenv("ASYNCHOOKS_BOUNDARIES", f" -{boundary.NAME} ,")
    asynchooks.enable()
    assert on() == others
    # What the code says counts.
    asynchooks.enable(boundaries={boundary.NAME: True})
    assert on() == names
    asynchooks.disable()
    assert on() == []


def test_several_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASYNCHOOKS_BOUNDARIES", "-threads,-logging,+threads")
    asynchooks.enable()
    assert set(on()) == {b.NAME for b in BOUNDARIES} - {"logging"}


def test_a_name_that_is_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ValueError, match="no boundary 'thread', expected one of aio_pika, aiohttp"):
        asynchooks.enable(boundaries={"thread": False})
    assert not asynchooks.is_enabled()
    forget_reports()
    monkeypatch.setenv("ASYNCHOOKS_BOUNDARIES", "-thread,threads")
    asynchooks.enable()
    assert on() == [b.NAME for b in BOUNDARIES]
    assert [message.split(";")[0] for message in caplog.messages] == [
        "ASYNCHOOKS_BOUNDARIES has '-thread', which is ignored",
        "ASYNCHOOKS_BOUNDARIES has 'threads', which is ignored",
    ]


def test_one_that_finds_another_python_steps_aside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import concurrent.futures.thread

    forget_reports()
    run = concurrent.futures.thread._WorkItem.run
    submit = concurrent.futures.ThreadPoolExecutor.submit
    monkeypatch.delattr(concurrent.futures.thread._WorkItem, "run")
    asynchooks.enable()
    assert "thread_pools" not in on()
    assert len(on()) == len(BOUNDARIES) - 1
    assert concurrent.futures.ThreadPoolExecutor.submit is submit
    assert "asynchooks leaves the boundary thread_pools alone" in caplog.text
    asynchooks.disable()
    assert not hasattr(concurrent.futures.thread._WorkItem, "run")
    monkeypatch.undo()
    assert concurrent.futures.thread._WorkItem.run is run

"""What we put in the place of methods looks like them, and is taken away without a trace."""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.base_subprocess
import asyncio.selector_events
import asyncio.sslproto
import asyncio.unix_events
import concurrent.futures.process
import concurrent.futures.thread
import gc
import inspect
import sys
import threading
from functools import partial
from typing import Any

import pytest
import uvloop

import asynchooks
from asynchooks import _native
from asynchooks._patching import Patches

MODULES: tuple[Any, ...] = (
    asyncio.base_events,
    asyncio.base_subprocess,
    asyncio.selector_events,
    asyncio.sslproto,
    asyncio.unix_events,
    concurrent.futures.process,
    concurrent.futures.thread,
    threading,
    uvloop,
    uvloop.loop,
)
OWNERS: list[Any] = [
    *MODULES,
    *{
        value
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, type) and "asynchooks" not in value.__module__
    },
]


def look() -> list[dict[str, Any]]:
    return [dict(vars(owner)) for owner in OWNERS]


def wrapped() -> list[tuple[Any, str, Any]]:
    return [
        (owner, name, value)
        for owner in OWNERS
        for name, value in vars(owner).items()
        if type(value) is _native.Wrapper
    ]


def describe(owner: Any, name: str) -> dict[str, object]:
    function = getattr(owner, name)
    try:
        signature = str(inspect.signature(function))
    except ValueError as exc:
        signature = str(exc)
    names = ("__name__", "__qualname__", "__module__", "__doc__", "__class__", "__code__")
    return {
        "signature": signature,
        "is coroutine function": inspect.iscoroutinefunction(function),
        "is asyncio's": asyncio.iscoroutinefunction(function) if sys.version_info < (3, 14) else 0,
        "is function": inspect.isfunction(function),
        "is routine": inspect.isroutine(function),
        "repr": repr(function),
        "hints": getattr(function, "__annotations__", None),
        **{attribute: getattr(function, attribute, None) for attribute in names},
    }


def test_all_is_as_before_after_a_thousand_times() -> None:
    before = look()
    for _ in range(1000):
        asynchooks.enable()
        asynchooks.disable()
    assert look() == before
    gc.collect()
    asynchooks.enable()
    assert look() != before
    asynchooks.disable()


def test_what_is_wrapped_looks_the_same() -> None:
    asynchooks.enable()
    places = [(owner, name) for owner, name, _ in wrapped()]
    tracked = [describe(owner, name) for owner, name in places]
    asynchooks.disable()
    assert len(places) > 30
    plain = [describe(owner, name) for owner, name in places]
    for place, one, other in zip(places, plain, tracked, strict=True):
        # What uvloop's class inherits has no place of its own there.
        assert one == other, place


def test_a_wrapper_binds_and_passes_on() -> None:
    class Thing:
        def method(self, *args: object, **kwargs: object) -> tuple[object, ...]:
            return self, args, kwargs

    patches = Patches()
    original = Thing.method
    for action in ("call", "kind", "cause", "step", "submit"):
        patches.wrap(Thing, "method", partial(_native.Wrapper, action=action))
    thing: Any = Thing()
    assert thing.method(1, *range(10), two=3) == (thing, (1, *range(10)), {"two": 3})
    assert Thing.method(thing) == (thing, (), {})
    assert thing.method.__func__ is vars(Thing)["method"]
    assert inspect.unwrap(Thing.method) is original
    vars(Thing)["method"].mark = 1
    assert vars(original) == {"mark": 1}
    patches.undo()
    assert Thing.method is original


def test_a_wrapper_s_own_trouble_is_reported_and_the_call_goes_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reports.append)

    def fail(*_: object) -> None:
        raise LookupError("ours")

    wrapper = _native.Wrapper(len, "step", helper=fail, then=fail)
    assert wrapper("abc") == 3
    assert [report.exc_type for report in reports] == [LookupError] * 2
    with pytest.raises(TypeError):
        wrapper()
    with pytest.raises(ValueError, match="no action"):
        _native.Wrapper(len, "dance")


def test_wrappers_do_not_leak() -> None:
    def rounds(count: int) -> None:
        for _ in range(count):
            asynchooks.enable()
            asynchooks.disable()
        gc.collect()

    rounds(50)
    before = sys.getallocatedblocks()
    rounds(200)
    assert sys.getallocatedblocks() - before < 200

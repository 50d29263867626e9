"""Fixtures of every test: the engine on, and a collector that checks each resource's life."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

import asynchooks

if TYPE_CHECKING:
    from collections.abc import Iterator


# A shell that starts us in the background has us, and every script that a test runs, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long a case takes is not what a property is about: the machine may be busy.
settings.register_profile("asynchooks", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("asynchooks")

# What runs the servers that are written in Python, the viewer among them. Not us, where we have old
# releases of what they need in newer ones (`make test-oldest`).
SERVER_PYTHON = os.environ.get("ASYNCHOOKS_TEST_SERVER_PYTHON", sys.executable)

# `make test-stress`: collect garbage at almost every allocation.
GC_THRESHOLD = int(os.environ.get("ASYNCHOOKS_TEST_GC_THRESHOLD", "0"))


@pytest.fixture(autouse=GC_THRESHOLD > 0)
def collecting_all_the_time() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(GC_THRESHOLD, 100, 1000)
    yield
    gc.set_threshold(*before)


@pytest.fixture
def engine() -> Iterator[None]:
    """The engine, in force during the test."""
    asynchooks.enable()
    assert asynchooks.is_enabled()
    yield
    asynchooks.disable()


@dataclass
class Life:
    """What hooks were told of one resource."""

    events: list[str] = field(default_factory=list)
    type: str = ""
    trigger: int = 0
    resource: object = None

    def check(self, async_id: int) -> None:
        """Node's state machine (its test/async-hooks/init-hooks.js)."""
        events = self.events
        assert events.count("init") <= 1, (async_id, events)
        assert events.count("destroy") <= 1, (async_id, events)
        if "init" in events:
            assert events[0] == "init", (async_id, events)
        if "destroy" in events:
            assert events[-1] == "destroy", (async_id, events)
        depth = 0
        for event in events:
            depth += {"before": 1, "after": -1}.get(event, 0)
            assert depth >= 0, (async_id, events)


class Activity:
    """Collects every event of every resource while its hook is enabled."""

    def __init__(self, kinds: tuple[str, ...] | None = None) -> None:
        self.lives: defaultdict[int, Life] = defaultdict(Life)
        self.order: list[tuple[str, int]] = []
        self.hook = asynchooks.create_hook(
            init=self._init,
            before=lambda async_id: self._add("before", async_id),
            after=lambda async_id: self._add("after", async_id),
            destroy=lambda async_id: self._add("destroy", async_id),
            settled=lambda async_id: self._add("settled", async_id),
            kinds=kinds,
        )

    def _init(self, async_id: int, type_name: str, trigger: int, resource: object) -> None:
        self._add("init", async_id)
        life = self.lives[async_id]
        life.type, life.trigger, life.resource = type_name, trigger, resource

    def _add(self, event: str, async_id: int) -> None:
        self.order.append((event, async_id))
        self.lives[async_id].events.append(event)

    def of_type(self, type_name: str) -> list[tuple[int, Life]]:
        """The lives of one type, in the order of birth."""
        return [(i, life) for i, life in sorted(self.lives.items()) if life.type == type_name]

    def forget_resources(self) -> None:
        """Let go of the resources, so that they can die."""
        for life in self.lives.values():
            life.resource = None

    def check(self) -> None:
        for async_id, life in self.lives.items():
            life.check(async_id)


@pytest.fixture
def activity(engine: None) -> Iterator[Activity]:
    """An `Activity` over all kinds, enabled, and checked at the end of the test."""
    collected = Activity()
    collected.hook.enable()
    yield collected
    collected.hook.disable()
    collected.check()

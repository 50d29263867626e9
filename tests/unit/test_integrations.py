"""The list of integrations: what it says of each is so, and all can be undone."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path

import pytest

import asynchooks
from asynchooks.integrations import INTEGRATIONS, Integration

PAGE = (Path(__file__).parents[2] / "docs" / "boundaries.md").read_text()

OF_OTHER_RELEASES = ("dramatiq.worker:_WorkerThread.process_message?",)

by_name = pytest.mark.parametrize("integration", INTEGRATIONS, ids=attrgetter("NAME"))


def test_names_are_given_once() -> None:
    names = [integration.NAME for integration in INTEGRATIONS]
    assert len(set(names)) == len(names)


@by_name
def test_the_page_lists_it(integration: Integration) -> None:
    assert f"| `{integration.NAME}` | {integration.DOES} |" in PAGE


@by_name
def test_the_list_names_the_modules_that_are_patched(integration: Integration) -> None:
    patched = {target.partition(":")[0] for target in integration.patches()}
    # The core's part is none of an attribute.
    assert patched == set(integration.modules) or integration.NAME == "greenlet"


@by_name
def test_everything_that_is_patched_is_there_and_is_put_back(
    integration: Integration, caplog: pytest.LogCaptureFixture
) -> None:
    if integration.NAME in ("gevent", "eventlet"):
        pytest.skip("imported in a process of its own, by its tests")
    if integration.NAME == "tkinter" and find_spec("tkinter") is None:
        pytest.skip("not of every Python: Debian has it in a package of its own")

    def found(target: str) -> object:
        module, _, path = target.partition(":")
        return attrgetter(path)(sys.modules[module])

    for module in integration.modules:
        assert find_spec(module) is not None
        import_module(module)
    here = [target for target in integration.patches() if target not in OF_OTHER_RELEASES]
    before = {target: found(target) for target in (t.removesuffix("?") for t in here)}

    asynchooks.enable()
    try:
        assert [r.getMessage() for r in caplog.records] == []
        for target, original in before.items():
            assert found(target) is not original, target
    finally:
        asynchooks.disable()

    assert {target: found(target) for target in before} == before

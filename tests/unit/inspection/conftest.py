"""Fixtures of the tests that look at what is alive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

import asynchooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asynchooks import ResourceInfo


class InfoOf(Protocol):
    def __call__(self, resource: object, /) -> ResourceInfo: ...


@pytest.fixture
def info_of() -> InfoOf:
    """What is known of one live resource."""

    def info_of(resource: object) -> ResourceInfo:
        (found,) = (info for info in asynchooks.resources() if info.resource is resource)
        return found

    return info_of


@pytest.fixture
def enable_with() -> Iterator[Callable[..., None]]:
    """`enable()`, taken back at the end."""
    yield asynchooks.enable
    asynchooks.disable()

"""The servers that the crowd shares, and as many open files as it needs."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest
from tests.libraries.conftest import postgres, redis_port

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("CROWD", "postgres", "redis_port")

CROWD = 2000
# Of the client and of the service: a socket for each visit, and some.
DESCRIPTORS = CROWD + 1000


@pytest.fixture(autouse=True)
def enough_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        pytest.skip(f"a process may have {hard} open files, and {DESCRIPTORS} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

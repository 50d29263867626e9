"""Greenlets leave their scopes in another order than they came. Which of two is what executes may
then be wrong for a while; nothing may dangle."""

from __future__ import annotations

import gc
import os

import greenlet
import pytest

import asynchooks
from asynchooks import AsyncResource


@pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="greenlet copies C stacks, which AddressSanitizer takes for an overflow",
)
def test_scopes_that_are_left_out_of_order(engine: None) -> None:
    hub = greenlet.getcurrent()
    outside = asynchooks.execution_async_id()
    seen: list[int] = []

    def work(resource: AsyncResource) -> None:
        def inside() -> None:
            seen.append(asynchooks.execution_async_id())
            hub.switch()
            use_the_stack(50)

        resource.run_in_async_scope(inside)

    resources = [AsyncResource(name) for name in "ABC"]
    ids = [resource.async_id() for resource in resources]
    lets = [greenlet.greenlet(work) for _ in resources]
    for let, resource in zip(lets, resources, strict=True):
        let.switch(resource)
        use_the_stack(50)
    del resource, resources
    gc.collect()
    assert seen == ids
    for let in lets:
        # A resource that nobody else holds lives as long as it executes.
        assert isinstance(asynchooks.execution_async_resource(), AsyncResource)
        let.switch()
        use_the_stack(50)
    assert asynchooks.execution_async_id() == outside
    assert asynchooks.execution_async_resource() is None


def use_the_stack(depth: int) -> list[object]:
    """Write over what another greenlet has left on the C stack."""
    return [use_the_stack(depth - 1), *map(str, range(depth))] if depth else []

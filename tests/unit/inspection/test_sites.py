"""Where something was made."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import asynchooks
from asynchooks import AsyncResource

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.inspection.conftest import InfoOf


@pytest.mark.parametrize("frames", range(5))
def test_as_many_frames_of_a_site_as_asked_for(
    info_of: InfoOf, enable_with: Callable[..., None], frames: int
) -> None:
    enable_with(site_frames=frames)

    def innermost() -> AsyncResource:
        return AsyncResource("Mine")

    def inner() -> AsyncResource:
        return innermost()

    def outer() -> AsyncResource:
        return inner()

    def outermost() -> AsyncResource:
        return outer()

    info = info_of(outermost())
    names = [site.function.rpartition(".")[2] for site in info.sites]
    assert names == ["innermost", "inner", "outer", "outermost"][:frames]
    assert info.site == (info.sites[0] if frames else None)
    for site in info.sites:
        assert site.filename == __file__
    if frames:
        assert info.sites[0].line == innermost.__code__.co_firstlineno + 1
        assert f" at {info.site}" in str(info)


@pytest.mark.parametrize("frames", [-1, 5])
def test_other_numbers_of_frames_are_refused(frames: int) -> None:
    with pytest.raises(ValueError, match=f"`site_frames` is {frames}, expected 0 to 4"):
        asynchooks.enable(site_frames=frames)
    assert not asynchooks.is_enabled()


def test_the_site_of_a_task_is_the_user_s_line_not_asyncio_s(engine: None, info_of: InfoOf) -> None:
    async def main() -> None:
        gathered = asyncio.gather(asyncio.sleep(0))
        (task,) = (
            info
            for info in asynchooks.resources(kind="Task")
            if info.name == "sleep" and info.state == "ready"
        )
        assert task.site is not None
        assert task.site.function.endswith("main")
        timer = asyncio.get_running_loop().call_later(1000, print)
        timer_site = info_of(timer).site
        assert timer_site is not None
        assert timer_site.filename == __file__
        timer.cancel()
        await gathered

    asyncio.run(main())

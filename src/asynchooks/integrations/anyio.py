"""anyio: portable stores travel with what `to_process.run_sync` sends to a process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.context.carriers import enclose
from asynchooks.integrations.wrapping import with_arguments

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap


def _enclose(fn: Any, *args: Any, **options: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (enclose(fn), *args), options


PATCHES: dict[str, Wrap] = {"anyio.to_process:run_sync": with_arguments(_enclose)}

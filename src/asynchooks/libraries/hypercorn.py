"""hypercorn: the ASGI application that a server wraps is the boundary of its requests."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.asgi import TracedApplication

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "hypercorn"
MODULE = "hypercorn.app_wrappers"
SUPPORTED = ("0.14", "1")


def install(patches: Patches, module: ModuleType) -> None:
    patches.wrap(module.ASGIWrapper, "__init__", _make_init)


def _make_init(original: Any) -> Any:
    @functools.wraps(original)
    def __init__(self: Any, app: Any) -> None:
        original(self, TracedApplication(app))

    return __init__

"""greenlet: a greenlet runs in a copy of its maker's context, as a task does. Whoever sets another
(`gr_context`, as SQLAlchemy does) has that.

What executes is kept for each thread, not for each greenlet: `greenlet.settrace` would tell of each
switch, which takes half as long again, and would be in the place of the application's own.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from asynchooks import _native

if TYPE_CHECKING:
    from asynchooks._patching import Patches
    from asynchooks.integrations.wrapping import Wrap

# Its class is immutable, and its `__init__` reached past the class: the core does it.
PATCHES: dict[str, Wrap] = {}


def install(patches: Patches, module: Any) -> None:
    _native.set_greenlet_type(module.greenlet)
    patches.on_undo(partial(_native.set_greenlet_type, None))

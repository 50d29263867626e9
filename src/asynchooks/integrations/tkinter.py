"""tkinter: what `after` and `after_idle` call runs in the context in which it was registered, as
what `loop.call_later` calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.integrations.wrapping import binding

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap

# What the method `after_idle` calls, too.
PATCHES: dict[str, Wrap] = {"tkinter:Misc.after": binding(2)}

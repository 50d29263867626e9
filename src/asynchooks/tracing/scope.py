"""What is in force in a piece of code: its span, its baggage, whether anything is recorded."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from asynchooks._native import Scope, current_scope

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("NO_BAGGAGE", "Scope", "current_scope")

NO_BAGGAGE: Mapping[str, Any] = MappingProxyType({})

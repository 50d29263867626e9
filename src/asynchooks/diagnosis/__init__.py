"""What is wrong: watchers over what lives and runs."""

from __future__ import annotations

from asynchooks.diagnosis.leaks import Group, Leak, Watch, watch

__all__ = ("Group", "Leak", "Watch", "watch")

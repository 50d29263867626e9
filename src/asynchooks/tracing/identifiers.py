"""Trace and span ids: random, never zero, never the same in a forked child."""

from __future__ import annotations

import os
import random

__all__ = ("new_span_id", "new_trace_id")

# Our own generator: an application that seeds `random` must not make our ids repeat.
_random = random.Random()  # noqa: S311 -- ids are no secrets
os.register_at_fork(after_in_child=_random.seed)


def new_trace_id() -> int:
    """A random 128-bit id that is not zero."""
    return _random.getrandbits(128) or 1


def new_span_id() -> int:
    """A random 64-bit id that is not zero."""
    return _random.getrandbits(64) or 1

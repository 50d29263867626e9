"""How context crosses other people's libraries: frameworks, servers, job queues, other loops. One
small file each, in force from the moment that the application imports the library.
"""

from __future__ import annotations

from asynchooks.integrations.registry import INTEGRATIONS, Integration

__all__ = ("INTEGRATIONS", "Integration")

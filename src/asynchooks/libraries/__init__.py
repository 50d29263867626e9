"""What asynchooks knows of other libraries: one small file each, in force from the moment that the
application imports the library."""

from __future__ import annotations

from asynchooks.libraries.registry import LIBRARIES, install, uninstall

__all__ = ("LIBRARIES", "install", "uninstall")

"""Imported at interpreter start by asynchooks.pth when ASYNCHOOKS is set and is not 0.

`ASYNCHOOKS=1` starts the engine, `ASYNCHOOKS=trace` the engine and tracing. Whatever goes wrong
here, the application starts.
"""

from __future__ import annotations

import os
import sys


def _start() -> None:
    mode = os.environ.get("ASYNCHOOKS", "")
    try:
        from asynchooks import engine

        engine.enable(tracing=mode == "trace")
    except Exception as exc:
        sys.stderr.write(f"asynchooks: not started: {exc!r}\n")


_start()

"""`python -m asynchooks` is the command `asynchooks`."""

from __future__ import annotations

import sys

from asynchooks.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

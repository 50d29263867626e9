"""What this process runs, by its command line."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ("application_module", "program_name")

_SERVERS = ("uvicorn", "gunicorn", "hypercorn", "daphne", "granian", "waitress-serve")


def application_module() -> str:
    """The module of the user's application: `shop.main` of `uvicorn shop.main:app`, `shop` of
    `python -m shop`. Empty where the command line does not say."""
    arguments = getattr(sys, "orig_argv", sys.argv)[1:]
    module = arguments[arguments.index("-m") + 1] if "-m" in arguments[:-1] else ""
    if _script() not in (*_SERVERS, "__main__", "-c", "-m", "") and not module:
        return ""
    if module and module not in _SERVERS:
        return module
    for argument in sys.argv[1:]:
        name, colon, _ = argument.partition(":")
        if colon and name.replace(".", "").isidentifier():
            return name
    return ""


def program_name() -> str:
    """`shop` of `uvicorn shop.main:app`, `python -m shop` and `python shop.py`; empty where there
    is no name to go by."""
    module = application_module()
    if module:
        return module.removesuffix(".main").removesuffix(".app")
    script = _script()
    if script == "__main__":  # of `python -m pkg`, in a process that it has spawned
        script = Path(sys.argv[0]).parent.name
    return script if script not in ("-c", "-m") else ""


def _script() -> str:
    return Path(sys.argv[0]).stem if sys.argv and sys.argv[0] else ""

"""One line for each thing that happens, with the request id where something provides it."""

from __future__ import annotations

import logging

FORMAT = "%(asctime)s %(levelname)-7s [%(request_id)s] %(name)s: %(message)s"


def configure(name: str) -> None:
    """Send the logger `name` and those below it to standard error."""
    handler = logging.StreamHandler()
    # Without anything that sets a request id, the field reads "-".
    handler.setFormatter(logging.Formatter(FORMAT, defaults={"request_id": "-"}))
    logger = logging.getLogger(name)
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False

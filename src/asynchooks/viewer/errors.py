"""What the viewer refuses, each with one line that says what to do."""

from __future__ import annotations

__all__ = ("BadRequestError", "TooLargeError", "UnsupportedError", "ViewerError")


class ViewerError(Exception):
    """The viewer cannot start: its port, its store or its dependencies."""


class BadRequestError(Exception):
    """What a client sent makes no sense. `status` is the HTTP status that says so."""

    status = 400


class TooLargeError(BadRequestError):
    """What a client sent is larger than the viewer takes."""

    status = 413


class UnsupportedError(BadRequestError):
    """What a client sent is of a type that the viewer does not read."""

    status = 415

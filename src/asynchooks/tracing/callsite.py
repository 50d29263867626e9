"""A line of code as OpenTelemetry's attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType

__all__ = ("call_site_attributes",)


def call_site_attributes(site: tuple[CodeType, int]) -> dict[str, str | int]:
    """OpenTelemetry's `code.*` attributes of a call site."""
    code, line = site
    return {
        "code.file.path": code.co_filename,
        "code.line.number": line,
        "code.function.name": code.co_qualname,
    }

"""The line of the user's own code that started a span, as OpenTelemetry's attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asynchooks.sites import CallSite

__all__ = ("call_site_attributes",)


def call_site_attributes(site: CallSite) -> dict[str, str | int]:
    """OpenTelemetry's `code.*` attributes of a call site. The stack trace is as Python writes one,
    without the lines' text, and only there where there is more than the line itself."""
    code, line, callers = site
    attributes: dict[str, str | int] = {
        "code.file.path": code.co_filename,
        "code.line.number": line,
        "code.function.name": code.co_qualname,
    }
    if callers:
        attributes["code.stacktrace"] = "\n".join(
            f'File "{code.co_filename}", line {line}, in {code.co_qualname}'
            for code, line in (*reversed(callers), (code, line))
        )
    return attributes

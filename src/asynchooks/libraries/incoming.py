"""A request that comes in, and the answer to it. Alike for every kind of server; each file says
what came, what was answered, and when the last byte was.

The core reads the headers and follows the answer; here is what it has to ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks import _native
from asynchooks._native import Answer, request_id_from, start_incoming
from asynchooks.libraries.http import record_headers
from asynchooks.libraries.urls import redact_query
from asynchooks.tracing import captured_headers, extract

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asynchooks.tracing import Span, SpanContext

    Headers = Sequence[tuple[bytes, bytes]]

__all__ = ("Answer", "install", "request_id_from", "start_incoming")


def install() -> None:
    """Tell the core how headers and queries are read."""
    are_captured = captured_headers("server_request") or captured_headers("server_response")
    _native.set_incoming_helpers(
        extract=_extract,
        redact_query=redact_query,
        record_headers=_record_headers if are_captured else None,
    )


def _extract(headers: Headers) -> tuple[SpanContext | None, Mapping[str, str]]:
    by_name: dict[str, str] = {}
    for name, value in headers:
        by_name.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return extract(lambda name: by_name.get(name, ""))


def _record_headers(span: Span, direction: str, headers: Headers) -> None:
    record_headers(span, "server", direction, headers)

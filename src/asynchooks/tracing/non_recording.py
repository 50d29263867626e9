"""A span that records nothing: it only says who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.tracing.span import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynchooks.tracing.request import Request
    from asynchooks.tracing.span import AttributeValue, SpanContext, StatusCode

__all__ = ("NonRecordingSpan",)


class NonRecordingSpan(Span):
    """Stands where nothing is recorded: for a request that is not sampled, where tracing is
    suppressed, and for a span that somebody else records (a caller, an OpenTelemetry SDK).

    What is done to it is forgotten, so that nothing has to be computed for it; its `context` goes
    on to other processes as any span's does.
    """

    __slots__ = ("context",)

    def __init__(self, context: SpanContext, request: Request | None = None) -> None:
        super().__init__("", parent=context, request=request, start_time=0)
        self.context = context

    def __repr__(self) -> str:
        return f"<NonRecordingSpan {self.context.span_id:016x}>"

    def is_recording(self) -> bool:
        return False

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        pass

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        pass

    def add_event(
        self,
        name: str,
        attributes: Mapping[str, AttributeValue] | None = None,
        timestamp: int | None = None,
    ) -> None:
        pass

    def add_link(
        self, context: SpanContext, attributes: Mapping[str, AttributeValue] | None = None
    ) -> None:
        pass

    def record_exception(self, exception: BaseException) -> None:
        pass

    def set_status(self, code: StatusCode, description: str | None = None) -> None:
        pass

    def update_name(self, name: str) -> None:
        pass

    def end(self, end_time: int | None = None) -> None:
        pass

"""What is in force, in whichever order, context or task a scope is left."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from asynchooks import _native
from asynchooks.tracing import (
    Request,
    Span,
    SpanContext,
    current_span,
    is_suppressed,
    recording_span,
    start_span,
    suppress_tracing,
    use_baggage,
    use_request,
    use_span,
)
from asynchooks.tracing.scope import Scope, current_scope

if TYPE_CHECKING:
    from collections.abc import Iterator


class Held(Scope):
    """Can be watched dying."""

    __slots__ = ("__weakref__",)


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    assert current_scope().is_outermost
    yield
    assert current_scope().is_outermost


def test_outermost_there_is_nothing() -> None:
    scope = current_scope()
    assert (scope.span, scope.baggage, scope.attached, scope.is_suppressed) == (
        None,
        None,
        None,
        False,
    )
    assert recording_span() is None


def test_what_a_scope_does_not_say_is_as_outside() -> None:
    span = Span("span")
    with use_baggage({"a": "1"}), suppress_tracing(), use_span(span):
        scope = current_scope()
        assert scope.span is span
        assert scope.baggage == {"a": "1"}
        assert scope.is_suppressed
        assert not scope.is_outermost
        with use_span(None):
            assert current_scope().baggage == {"a": "1"}
            assert current_span() is None
        assert current_scope() is scope


def test_a_request_is_below_nothing() -> None:
    request = Request("r", "GET", "/", 1)
    request.span = Span("GET", request=request)
    with use_baggage({"a": "1"}), suppress_tracing(), use_request(request):
        assert not is_suppressed()
        assert not current_scope().baggage
        assert recording_span() is request.span


def test_where_nothing_is_recorded_no_span_is_to_be_made() -> None:
    with use_span(Span("span")) as span:
        assert recording_span() is span
        with suppress_tracing():
            assert recording_span() is None
            assert not start_span("child").is_recording()
    with use_span(Span("quiet", parent=SpanContext(1, 2, trace_flags=0))):
        assert recording_span() is None


def test_left_in_the_wrong_order() -> None:
    outer, inner = use_span(Span("outer")), use_span(Span("inner"))
    outer.enter()
    inner.enter()
    outer.leave()
    assert current_span() is inner.span
    inner.leave()
    assert current_span() is None


def test_left_in_another_context() -> None:
    scope = use_span(Span("span"))
    scope.enter()
    contextvars.copy_context().run(scope.leave)
    assert current_span() is None
    after = use_span(Span("after"))
    with after:
        assert current_span() is after.span


def test_left_in_a_copy_that_has_it() -> None:
    """As a generator's finalizer runs: in a copy of the consumer's context."""
    with use_span(Span("outer")) as outer:
        scope = use_span(Span("inner"))
        scope.enter()
        copy = contextvars.copy_context()
        copy.run(scope.leave)
        assert current_span() is outer
        assert copy.run(current_span) is outer


def test_left_twice_or_never_entered() -> None:
    scope = use_span(Span("span"))
    scope.leave()
    with scope:
        assert current_span() is scope.span
    scope.leave()
    with scope:
        assert current_span() is scope.span


def test_entered_again() -> None:
    scope = use_span(Span("span"))
    with scope, pytest.raises(RuntimeError, match="make another one"):
        scope.enter()
    contextvars.copy_context().run(scope.enter)
    scope.leave()  # misplaced
    with scope:
        assert current_span() is scope.span
    assert current_span() is None


def test_an_exception_passes() -> None:
    with pytest.raises(LookupError), use_span(Span("span")):
        raise LookupError


def test_a_task_keeps_what_it_was_created_in() -> None:
    seen: list[Any] = []

    async def child(goes_on: asyncio.Event) -> None:
        await goes_on.wait()
        seen.append(current_span())

    async def main() -> None:
        goes_on = asyncio.Event()
        with use_span(Span("parent")) as parent:
            task = asyncio.create_task(child(goes_on))
            await asyncio.sleep(0)
        assert current_span() is None
        goes_on.set()
        await task
        assert seen == [parent]

    asyncio.run(main())


def test_tasks_that_make_the_next_one_hold_no_chain() -> None:
    alive: weakref.WeakSet[Held] = weakref.WeakSet()

    async def step(left: int, done: asyncio.Event) -> None:
        scope = Held()
        alive.add(scope)
        with scope:
            if left:
                background.add(asyncio.create_task(step(left - 1, done)))
            else:
                done.set()
            background.discard(asyncio.current_task())

    async def main() -> None:
        done = asyncio.Event()
        background.add(asyncio.create_task(step(50, done)))
        await done.wait()
        gc.collect()
        assert len(alive) < 5

    background: set[Any] = set()
    asyncio.run(main())


def test_a_scope_that_is_never_left_dies_with_its_context() -> None:
    scope = Held()
    died = weakref.ref(scope)
    contextvars.copy_context().run(scope.enter)
    del scope
    gc.collect()
    assert died() is None


def test_members_may_be_anything_and_are_let_go() -> None:
    class Value:
        pass

    scope: Any = Scope(1, 2, any="thing")
    value = Value()
    died = weakref.ref(value)
    for name in ("span", "baggage", "attached", "composed"):
        setattr(scope, name, value)
        delattr(scope, name)
        assert getattr(scope, name) is None
        setattr(scope, name, value)
    with pytest.raises(TypeError):
        scope.is_suppressed = "yes"
    with pytest.raises(AttributeError):
        scope.is_outermost = True
    del value, scope
    assert died() is None


def test_a_span_that_is_none_is_not_below_which_anything_is_recorded() -> None:
    scope: Any = Scope()
    scope.span = "nonsense"
    with scope:
        assert recording_span() is None


def test_a_gate_decides_what_is_encoded(encoded: Any) -> None:
    held: list[Span] = []
    _native.set_span_gate(held.append)
    try:
        for name in ("kept", "dropped"):
            Span(name).end()
        assert encoded.buffer.stats() == (0, 0, 0, 0)
        assert [span.name for span in held] == ["kept", "dropped"]
        _native.release_span(held[0])
        assert encoded.span().name == "kept"
    finally:
        _native.set_span_gate(None)
    Span("direct").end()
    assert encoded.span().name == "direct"
    with pytest.raises(TypeError):
        _native.release_span("span")  # type: ignore[arg-type]


def test_below_one_that_is_over_a_span_says_so() -> None:
    over = Span("over")
    over.end()
    late = start_span("late", parent=over)
    assert late.attributes == {"asynchooks.outlives_parent": True}
    assert [link.context for link in late.links] == [over.context]


def test_without_a_buffer_a_released_span_is_gone() -> None:
    span = Span("span")
    span.end()
    _native.release_span(span)


def test_a_span_of_somebody_else_s_records_nothing_and_is_a_parent(ended: list[Span]) -> None:
    context = SpanContext(7, 8, 1, "a=b", is_remote=False)
    foreign = Span("", context=context)
    assert foreign.context == context
    assert not foreign.is_recording()
    foreign.set_attribute("a", 1)
    foreign.end()
    assert (foreign.attributes, ended) == ({}, [])
    with use_span(foreign):
        child = start_span("child")
    assert child.parent == context
    assert child.is_recording()
    assert (child.attributes, child.links) == ({}, [])  # its parent is not over
    quiet = Span("", context=context._replace(trace_flags=0))
    assert not start_span("child", parent=quiet).is_recording()

"""Patches: replaced attributes come back as they were."""

from __future__ import annotations

import sqlite3
import types
from typing import Any

import pytest

from asynchooks._patching import Patches


class Base:
    def inherited(self) -> str:
        return "base"


class Owner(Base):
    def method(self) -> str:
        return "original"

    @staticmethod
    def static() -> str:
        return "static"

    @classmethod
    def of_class(cls) -> str:
        return cls.__name__


def loudly(original: Any) -> Any:
    return lambda *args: original(*args).upper()


def test_a_method_is_replaced_and_comes_back() -> None:
    before = dict(vars(Owner))
    patches = Patches()
    patches.wrap(Owner, "method", loudly)
    patches.wrap(Owner, "inherited", loudly)
    assert (Owner().method(), Owner().inherited()) == ("ORIGINAL", "BASE")
    assert Base().inherited() == "base"
    patches.undo()
    assert dict(vars(Owner)) == before
    assert "inherited" not in vars(Owner)


@pytest.mark.parametrize("name", ["static", "of_class"])
def test_descriptors_come_back_as_they_were(name: str) -> None:
    before = vars(Owner)[name]
    patches = Patches()
    patches.replace(Owner, name, staticmethod(lambda: "replaced"))
    assert getattr(Owner, name)() == "replaced"
    patches.undo()
    assert vars(Owner)[name] is before


def test_what_is_reached_through_somebody_elses_is_not_wrapped_again() -> None:
    original = vars(Owner)["method"]
    patches = Patches()
    patches.wrap(Owner, "method", loudly)
    ours = vars(Owner)["method"]
    theirs = lambda self: ours(self) + "?"  # noqa: E731
    try:
        Owner.method = theirs  # type: ignore[method-assign]
        patches.undo()
        patches.wrap(Owner, "method", lambda original: pytest.fail("wrapped twice"))
        assert vars(Owner)["method"] is theirs
        # They go away, and ours with the next undo().
        Owner.method = ours  # type: ignore[method-assign]
        patches.undo()
        assert vars(Owner)["method"] is original
    finally:
        Owner.method = original  # type: ignore[method-assign]


@pytest.mark.parametrize("uncovered_by", ["ours", "original"])
def test_what_is_not_reached_any_more_is_wrapped_anew(uncovered_by: str) -> None:
    original = vars(Owner)["method"]
    patches = Patches()
    patches.wrap(Owner, "method", loudly)
    ours = vars(Owner)["method"]
    try:
        Owner.method = lambda self: "theirs"  # type: ignore[method-assign]
        patches.undo()
        Owner.method = ours if uncovered_by == "ours" else original  # type: ignore[method-assign]
        patches.wrap(Owner, "method", loudly)
        assert Owner().method() == "ORIGINAL"
        patches.undo()
        assert vars(Owner)["method"] is original
    finally:
        Owner.method = original  # type: ignore[method-assign]


def test_what_somebody_put_over_ours_stays() -> None:
    original = vars(Owner)["method"]
    patches = Patches()
    patches.wrap(Owner, "method", loudly)
    ours = vars(Owner)["method"]
    try:
        theirs = lambda self: ours(self) + "!"  # noqa: E731 -- a function as they come
        Owner.method = theirs  # type: ignore[method-assign] # what an application may do
        patches.undo()
        assert vars(Owner)["method"] is theirs
        assert Owner().method() == "ORIGINAL!"
    finally:
        Owner.method = original  # type: ignore[method-assign] # as it was


def test_two_patches_of_one_name_come_off_in_reverse() -> None:
    original = vars(Owner)["method"]
    patches = Patches()
    patches.wrap(Owner, "method", loudly)
    patches.wrap(Owner, "method", lambda inner: lambda self: f"<{inner(self)}>")
    assert Owner().method() == "<ORIGINAL>"
    patches.undo()
    assert vars(Owner)["method"] is original


def test_a_module_s_function() -> None:
    module: Any = types.ModuleType("module")
    module.function = str.lower
    patches = Patches()
    patches.wrap(module, "function", loudly)
    patches.replace(module, "new", 1)
    assert module.function("Ab") == "AB"
    patches.undo()
    assert module.function("Ab") == "ab"
    assert not hasattr(module, "new")


def test_a_type_of_the_c_library() -> None:
    before = dict(vars(sqlite3.Cursor))
    patches = Patches()
    calls: list[str] = []

    def make(original: Any) -> Any:
        def execute(self: Any, text: str) -> Any:
            calls.append(text)
            return original(self, text)

        return execute

    patches.wrap(sqlite3.Cursor, "execute", make)
    connection = sqlite3.connect(":memory:")
    cursor = connection.cursor()  # the type's caches must have been told
    assert cursor.execute("SELECT 1").fetchone() == (1,)
    patches.undo()
    assert cursor.execute("SELECT 2").fetchone() == (2,)
    connection.close()
    assert calls == ["SELECT 1"]
    assert dict(vars(sqlite3.Cursor)) == before
    with pytest.raises(TypeError, match="immutable type"):
        sqlite3.Cursor.execute = None  # type: ignore[assignment, method-assign] # still refused

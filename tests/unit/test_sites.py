"""The line of the user's own code, wherever it is installed."""

from __future__ import annotations

import sys
import sysconfig
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from asynchooks import sites
from asynchooks.tracing import Span
from asynchooks.tracing.callsite import call_site_attributes

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE_PACKAGES = sysconfig.get_path("purelib")

# A span whose `call_site` is where this is called; no frame of a function lies between.
start = partial(Span, "call", call_site=True)


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    sites.configure()
    yield
    sites.configure()


def call_through(*filenames: str) -> str:
    """What is found from the innermost of functions in these files, each calling the next."""
    call: Any = start
    for filename in reversed(filenames):
        space = {"inner": call}
        exec(compile("def call(): return inner()", filename, "exec"), space)
        call = space["call"]
    code, _, _ = call().call_site
    found: str = code.co_filename
    return found


def test_the_nearest_line_that_is_the_user_s() -> None:
    assert call_through("/srv/shop.py", f"{SITE_PACKAGES}/httpx/client.py") == "/srv/shop.py"
    assert call_through("/srv/a.py", "/srv/b.py") == "/srv/b.py"
    assert call_through("/srv/a.py", "<string>", asyncio_file()) == "/srv/a.py"


def asyncio_file() -> str:
    import asyncio.tasks

    return asyncio.tasks.__file__


def test_another_environment_s_packages_are_foreign_too() -> None:
    assert call_through("/srv/a.py", "/other/lib/site-packages/httpx.py") == "/srv/a.py"
    assert call_through("/srv/a.py", "/usr/lib/python3/dist-packages/httpx.py") == "/srv/a.py"


@pytest.mark.parametrize(
    ("argv", "original"),
    [
        (["/venv/bin/uvicorn", "shop.main:app"], None),
        (["/venv/bin/gunicorn", "-k", "x", "shop.main:app"], None),
        (["/x/shop/__main__.py"], ["python", "-m", "shop"]),
    ],
)
def test_an_application_that_is_installed_is_the_user_s(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], original: list[str] | None
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original or ["python", *argv])
    sites.configure()
    orders, single = f"{SITE_PACKAGES}/shop/orders.py", f"{SITE_PACKAGES}/shop.py"
    library = f"{SITE_PACKAGES}/httpx/client.py"
    assert call_through(orders, library) == orders
    assert call_through(single, library) == single
    assert call_through("/srv/x.py", f"{SITE_PACKAGES}/shopping/cart.py") == "/srv/x.py"


def test_the_user_s_code_that_called_the_line_is_kept_up_to_what_is_not_the_user_s() -> None:
    spans: list[Any] = []
    space: dict[str, Any] = {"keep": spans.append, "start": start}
    for filename, text in (
        (f"{SITE_PACKAGES}/httpx/client.py", "def send(): keep(start())"),
        ("/srv/helper.py", "def run(): send()"),
        ("/srv/orders.py", "def orders():\n  run()"),
        (f"{SITE_PACKAGES}/fastapi/routing.py", "def route(): orders()"),
        ("/srv/main.py", "def main(): route()"),
    ):
        exec(compile(text, filename, "exec"), space)
    space["main"]()
    attributes = call_site_attributes(spans[0].call_site)
    assert attributes["code.file.path"] == "/srv/helper.py"
    assert attributes["code.stacktrace"] == (
        'File "/srv/orders.py", line 2, in orders\nFile "/srv/helper.py", line 1, in run'
    )


def test_of_a_recursion_only_some_callers_are_kept() -> None:
    def recurse(times: int) -> Any:
        return recurse(times - 1) if times else start().call_site

    assert len(recurse(50)[2]) == 4


def call_site_below_nothing() -> str:
    """From a thread that nothing of the user's has entered."""
    found: list[Any] = []
    space = {"start": start, "found": found}
    filename = f"{SITE_PACKAGES}/httpx/client.py"
    exec(compile("def run(self=None): found.append(start())", filename, "exec"), space)
    thread = threading.Thread(target=space["run"])  # type: ignore[arg-type] # it is a function
    thread.start()
    thread.join()
    where: str = found[0].call_site[0].co_filename
    return where


def test_where_nothing_is_the_user_s_the_nearest_is_taken() -> None:
    site = call_site_below_nothing()
    assert site.endswith("httpx/client.py")


def test_attributes() -> None:
    site = start().call_site
    assert site is not None
    assert call_site_attributes((*site[:2], ())) == {
        "code.file.path": str(Path(__file__)),
        "code.line.number": test_attributes.__code__.co_firstlineno + 1,
        "code.function.name": "test_attributes",
    }

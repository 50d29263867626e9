"""asgiref and Django: the rows f17 and f18."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from tests.boundaries.frameworks.conftest import answers, free_port

if TYPE_CHECKING:
    from tests.boundaries.conftest import Run
    from tests.boundaries.frameworks.conftest import Starter

    import asynchooks

    Storage = asynchooks.AsyncLocalStorage[str | None]


def test_f17_values_set_inside_are_seen_outside(
    engine_on_or_off: None, storage: Storage, run: Run
) -> None:
    async def main() -> list[str | None]:
        await sync_to_async(storage.enter_with)("A")
        seen = [storage.get_store()]

        async def set_b() -> None:
            await asyncio.sleep(0)
            seen.append(storage.get_store())
            storage.enter_with("B")

        await sync_to_async(async_to_sync(set_b))()
        return [*seen, storage.get_store()]

    assert run(main()) == ["A", "A", "B"]
    async_to_sync(sync_to_async(storage.enter_with))("C")
    assert storage.get_store() == "C"


@pytest.mark.parametrize("thread_sensitive", [True, False])
def test_f18_a_scope_that_is_entered_in_one_call_and_left_in_another(
    engine: None, storage: Storage, run: Run, thread_sensitive: bool
) -> None:
    async def main() -> list[str | None]:
        scope = storage.use("A")
        seen = [await sync_to_async(scope.__enter__, thread_sensitive=thread_sensitive)()]
        seen.append(storage.get_store())
        leave = sync_to_async(scope.__exit__, thread_sensitive=thread_sensitive)
        await leave(None, None, None)
        return [*seen, storage.get_store()]

    assert run(main()) == ["A", "A", None]


DJANGO = """
import django.conf
django.conf.settings.configure(
    ROOT_URLCONF="app", ALLOWED_HOSTS=["*"], SECRET_KEY="-",
    MIDDLEWARE=["app.scoping", "app.setting"],
)
import django
django.setup()
import asynchooks
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

asynchooks.enable()
scoped = asynchooks.AsyncLocalStorage(name="scoped")
plain = asynchooks.AsyncLocalStorage(name="plain")

def scoping(get_response):
    def middleware(request):
        with scoped.use(request.path):
            response = get_response(request)
        response["x-after"] = f"{scoped.get_store()},{plain.get_store()}"
        return response
    return middleware

def setting(get_response):
    def middleware(request):
        before = plain.get_store()
        plain.enter_with("middleware")
        response = get_response(request)
        response["x-before"] = str(before)
        return response
    return middleware

def answer():
    found = f"{scoped.get_store()},{plain.get_store()}"
    plain.enter_with("view")
    return HttpResponse(found)

def function(request):
    return answer()

async def coroutine(request):
    return answer()

urlpatterns = [path("function", function), path("coroutine", coroutine)]
app = get_asgi_application()
"""


@pytest.mark.slow
@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_f18_django_on_asgi(start: Starter, server: str) -> None:
    """Middleware and views, functions and coroutines: one context, and none left behind."""
    import urllib.request

    port = free_port()
    (start.folder / "app.py").write_text(DJANGO)
    address = ("--port", str(port)) if server == "uvicorn" else ("--bind", f"127.0.0.1:{port}")
    process = start.process(sys.executable, "-m", server, "app:app", *address)
    url = f"http://127.0.0.1:{port}"
    process.wait_until(lambda: answers(f"{url}/function"), "the server answers")

    for view in ("function", "coroutine", "function", "coroutine"):
        with urllib.request.urlopen(f"{url}/{view}", timeout=30) as answer:
            assert answer.read().decode() == f"/{view},middleware"
            assert answer.headers["x-before"] == "None"
            assert answer.headers["x-after"] == "None,view"

"""WSGI servers, each with one thread that serves one request after the other: the row f16."""

from __future__ import annotations

import http.client
import sys
from typing import TYPE_CHECKING

import pytest
from tests.boundaries.frameworks.conftest import answers, free_port

if TYPE_CHECKING:
    from tests.boundaries.frameworks.conftest import Starter

pytestmark = pytest.mark.slow

COMMON = """
import sys
import asynchooks

asynchooks.enable()
storage = asynchooks.AsyncLocalStorage(name="row")

def answer():
    before = storage.get_store()
    storage.enter_with("residue")
    # What is sent bit by bit is still this request's.
    yield f"{before},".encode()
    yield f"{storage.get_store()}".encode()
"""

APPLICATIONS = {
    "wsgi": """
def app(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    return answer()
""",
    "flask": """
import flask
app = flask.Flask("app")
app.add_url_rule("/", view_func=lambda: flask.Response(answer(), mimetype="text/plain"))
""",
    "django": """
import django.conf
django.conf.settings.configure(ROOT_URLCONF="app", ALLOWED_HOSTS=["*"], SECRET_KEY="-")
import django
django.setup()
from django.core.wsgi import get_wsgi_application
from django.http import StreamingHttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: StreamingHttpResponse(answer()))]
app = get_wsgi_application()
""",
}

SERVERS = {
    "wsgiref": "from wsgiref.simple_server import make_server; import app;"
    "make_server('127.0.0.1', {port}, app.app).serve_forever()",
    "waitress": "import app, waitress;"
    "waitress.serve(app.app, host='127.0.0.1', port={port}, threads=1)",
    "werkzeug": "import app; from werkzeug.serving import run_simple;"
    "run_simple('127.0.0.1', {port}, app.app, threaded=False)",
    "gunicorn-sync": "gunicorn app:app --bind 127.0.0.1:{port} --workers 1",
    "gunicorn-gthread": "gunicorn app:app --bind 127.0.0.1:{port} --workers 1 --threads 1 "
    "--worker-class gthread",
    "gunicorn-gevent": "gunicorn app:app --bind 127.0.0.1:{port} --workers 1 --worker-class gevent",
}

CASES = [("wsgi", server) for server in SERVERS]
CASES += [(framework, "waitress") for framework in ("flask", "django")]


@pytest.mark.parametrize(("framework", "server"), CASES)
def test_f16_each_request_of_a_wsgi_server_starts_clean(
    start: Starter, framework: str, server: str
) -> None:
    port = free_port()
    (start.folder / "app.py").write_text(COMMON + APPLICATIONS[framework])
    command = SERVERS[server].format(port=port)
    if server.startswith("gunicorn"):
        process = start.process(*command.split())
    else:
        process = start.process(sys.executable, "-c", command)
    process.wait_until(lambda: answers(f"http://127.0.0.1:{port}/"), "the server answers")

    seen = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(3):  # on one connection, where the server keeps it
        connection.request("GET", "/")
        seen.append(connection.getresponse().read().decode())
    connection.close()

    assert seen == ["None,residue"] * 3

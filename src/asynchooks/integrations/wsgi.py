"""WSGI servers: what a request sets is gone when it is over, also where its thread serves the next.

The worker threads of gunicorn's `gthread` are a pool, whose jobs start clean anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks.integrations.wrapping import in_a_copy

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap

PATCHES: dict[str, Wrap] = {
    "wsgiref.handlers:BaseHandler.run": in_a_copy,
    "waitress.task:Task.service": in_a_copy,
    "gunicorn.workers.sync:SyncWorker.handle_request": in_a_copy,
    "gunicorn.workers.base_async:AsyncWorker.handle_request": in_a_copy,
    "werkzeug.serving:WSGIRequestHandler.run_wsgi": in_a_copy,
}

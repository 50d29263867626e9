"""The other service, which the crowd calls."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from asynchooks.tracing import flush, stats

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

logger = logging.getLogger("echo")
logger.setLevel(logging.INFO)


async def echo(request: Request) -> Response:
    logger.info("echoed %s", request.path_params["mark"])
    return PlainTextResponse(request.path_params["mark"])


def report(request: Request) -> Response:
    flush(60)
    return JSONResponse(stats()._asdict())


app = Starlette(routes=[Route("/echo/{mark}", echo), Route("/report", report)])

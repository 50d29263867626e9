"""The application: `uvicorn shop.main:app`."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import httpx
from fastapi import FastAPI

from shop import database, logs
from shop.invoices import InvoicePrinter
from shop.routers import orders, products, reports
from shop.settings import Settings
from shop.shipping import Shipping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

logger = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    database.create(settings.database)
    async with AsyncExitStack() as stack:
        app.state.pool = await stack.enter_async_context(
            database.Pool(settings.database, settings.connections)
        )
        client = httpx.AsyncClient(base_url=settings.rates_url, timeout=10)
        app.state.shipping = Shipping(await stack.enter_async_context(client))
        app.state.invoice_printer = InvoicePrinter(settings.database)
        stack.callback(app.state.invoice_printer.close)
        logger.info("open, with the database %s", settings.database)
        yield
    logger.info("closed")


def create_app(settings: Settings) -> FastAPI:
    app = FastAPI(title="Shop", lifespan=lifespan)
    app.state.settings = settings
    for module in (products, orders, reports):
        app.include_router(module.router)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return app


logs.configure("shop")
app = create_app(Settings())

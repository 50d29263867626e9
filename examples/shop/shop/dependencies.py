"""What the routes ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator  # noqa: TC003 -- FastAPI reads the annotations
from typing import Annotated, cast

import aiosqlite
from fastapi import Depends, Header, Request

from shop.database import Pool
from shop.invoices import InvoicePrinter
from shop.repositories import Orders, Products
from shop.shipping import Shipping

# Only what cannot end a comment may stand in one.
Tag = Annotated[str | None, Header(alias="x-query-tag", pattern=r"^[A-Za-z0-9_-]{1,64}$")]


def pool(request: Request) -> Pool:
    return cast("Pool", request.app.state.pool)


async def connection(
    pool: Annotated[Pool, Depends(pool)],
) -> AsyncIterator[aiosqlite.Connection]:
    """One connection for the whole request, in a transaction."""
    async with pool.transaction() as connection:
        yield connection


Connection = Annotated[aiosqlite.Connection, Depends(connection, scope="function")]


def products(connection: Connection, x_query_tag: Tag = None) -> Products:
    return Products(connection, x_query_tag)


def orders(connection: Connection, x_query_tag: Tag = None) -> Orders:
    return Orders(connection, x_query_tag)


def shipping(request: Request) -> Shipping:
    return cast("Shipping", request.app.state.shipping)


def invoice_printer(request: Request) -> InvoicePrinter:
    return cast("InvoicePrinter", request.app.state.invoice_printer)


PoolDependency = Annotated[Pool, Depends(pool)]
ProductsDependency = Annotated[Products, Depends(products)]
OrdersDependency = Annotated[Orders, Depends(orders)]
ShippingDependency = Annotated[Shipping, Depends(shipping)]
InvoicePrinterDependency = Annotated[InvoicePrinter, Depends(invoice_printer)]

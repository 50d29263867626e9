"""Orders: looking at them, placing one, sending it."""

from __future__ import annotations

import logging

from fastapi import APIRouter, BackgroundTasks, HTTPException

from shop.dependencies import (  # noqa: TC001 -- FastAPI reads them
    InvoicePrinterDependency,
    OrdersDependency,
    PoolDependency,
    ShippingDependency,
    Tag,
)
from shop.mails import confirm_order
from shop.marks import in_log
from shop.models import Invoice, NewOrder, Order, Placed, Quote

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/orders", tags=["orders"])


@router.get("")
async def orders_of_customer(
    customer_id: int, orders: OrdersDependency, x_query_tag: Tag = None
) -> list[Order]:
    found = [await orders.get(order_id) for order_id in await orders.ids_of(customer_id)]
    logger.info("customer %d has %d orders%s", customer_id, len(found), in_log(x_query_tag))
    return [order for order in found if order is not None]


@router.get("/{order_id}")
async def order(order_id: int, orders: OrdersDependency) -> Order:
    found = await orders.get(order_id)
    if found is None:
        raise HTTPException(404, f"There is no order {order_id}")
    return found


@router.post("", status_code=201)
async def place(
    new: NewOrder,
    orders: OrdersDependency,
    pool: PoolDependency,
    background: BackgroundTasks,
    x_query_tag: Tag = None,
) -> Placed:
    order_id = await orders.add(new.customer_id)
    for item in new.items:
        await orders.add_item(order_id, item)
        await orders.take_from_stock(item)
    total = await orders.total(order_id)
    logger.info("order %d is placed%s", order_id, in_log(x_query_tag))
    background.add_task(confirm_order, pool, order_id, x_query_tag)
    return Placed(order_id=order_id, total=total)


@router.get("/{order_id}/shipping")
async def shipping_quotes(
    order_id: int, orders: OrdersDependency, shipping: ShippingDependency, x_query_tag: Tag = None
) -> list[Quote]:
    parcel = await orders.parcel(order_id)
    if parcel is None:
        raise HTTPException(404, f"There is no order {order_id}")
    country, weight = parcel
    return await shipping.quotes(country, weight, x_query_tag or f"order-{order_id}")


@router.get("/{order_id}/invoice")
async def invoice(
    order_id: int, printer: InvoicePrinterDependency, x_query_tag: Tag = None
) -> Invoice:
    return await printer.print(order_id, x_query_tag)

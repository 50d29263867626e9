"""What happens after the answer has gone out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shop.marks import in_log
from shop.repositories import Orders

if TYPE_CHECKING:
    from shop.database import Pool

logger = logging.getLogger(__name__)


async def confirm_order(pool: Pool, order_id: int, tag: str | None) -> None:
    """Write the confirmation to the outbox."""
    async with pool.transaction() as connection:
        orders = Orders(connection, tag)
        total = await orders.total(order_id)
        await orders.add_mail(order_id, f"Thank you! Your order comes to {total / 100:.2f}.")
    logger.info("confirmation of order %d is in the outbox%s", order_id, in_log(tag))

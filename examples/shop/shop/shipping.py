"""The client of the rates service."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from shop.models import Quote

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

CARRIERS = ("parrot", "swift", "snail")


class Shipping:
    """Asks each carrier for its price, all at once."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def quotes(self, country: str, weight: int, reference: str) -> list[Quote]:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._quote(carrier, country, weight, reference))
                for carrier in CARRIERS
            ]
        return [task.result() for task in tasks]

    async def _quote(self, carrier: str, country: str, weight: int, reference: str) -> Quote:
        response = await self._client.get(
            f"/quotes/{carrier}/{reference}", params={"country": country, "weight": weight}
        )
        response.raise_for_status()
        quote = Quote.model_validate_json(response.content)
        logger.info("%s asks %d for %s", carrier, quote.price, reference)
        return quote

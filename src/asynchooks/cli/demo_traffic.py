"""Requests as customers of the shop send them."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, NamedTuple

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("send_round", "trickle")

ROUND = 60
AT_ONCE = 8
PAUSE = 0.7  # seconds between the requests of `trickle`


class _Order(NamedTuple):
    product_id: int
    quantity: int


class _Visit(NamedTuple):
    path: str
    order: _Order | None = None


# There are three of this product: an order for more shows the shop's bug.
SCARCE = _Order(product_id=13, quantity=25)


async def send_round(shop: str) -> set[str]:
    """Send a round of requests, some at once; the ids that the answers carry.

    Raises:
        httpx.TransportError: the shop does not answer.
    """
    visits = iter([*_visits(_chance(7), ROUND - 2), *[_Visit("/orders", SCARCE)] * 2])
    request_ids: set[str] = set()

    async def customer(client: httpx.AsyncClient) -> None:
        for visit in visits:
            response = await _send(client, visit)
            request_ids.add(response.headers["x-request-id"])

    async with httpx.AsyncClient(base_url=shop, timeout=30) as client:
        await asyncio.gather(*(customer(client) for _ in range(AT_ONCE)))
    return request_ids


async def trickle(shop: str) -> None:
    """Send a request now and then, until cancelled.

    Raises:
        httpx.TransportError: the shop does not answer.
    """
    chance = _chance()
    async with httpx.AsyncClient(base_url=shop, timeout=30) as client:
        while True:
            for visit in _visits(chance, 10):
                await _send(client, visit)
                await asyncio.sleep(PAUSE)
            await _send(client, _Visit("/orders", SCARCE))


def _chance(seed: int | None = None) -> random.Random:
    return random.Random(seed)  # noqa: S311 -- for variety, not for secrets


async def _send(client: httpx.AsyncClient, visit: _Visit) -> httpx.Response:
    if visit.order is None:
        return await client.get(visit.path)
    # uvicorn closes the connection of a request that fails without saying so in its answer: none
    # that is kept may be used for an order.
    return await client.post(
        visit.path,
        json={"customer_id": 3, "items": [visit.order._asdict()]},
        headers={"connection": "close"},
    )


def _visits(chance: random.Random, count: int) -> Iterator[_Visit]:
    kinds = ("search", "product", "orders", "order", "place", "shipping", "invoice", "report")
    for kind in chance.choices(kinds, weights=(8, 10, 4, 6, 4, 3, 3, 2), k=count):
        order = chance.randrange(1, 161)
        match kind:
            case "search":
                yield _Visit(f"/products?words={chance.choice(('lamp', 'blue', 'tea', 'set'))}")
            case "product":
                yield _Visit(f"/products/{chance.randrange(1, 41)}")
            case "orders":
                yield _Visit(f"/orders?customer_id={chance.randrange(1, 21)}")
            case "order":
                yield _Visit(f"/orders/{order}")
            case "place":
                yield _Visit("/orders", _Order(chance.randrange(1, 12), chance.randrange(1, 4)))
            case "shipping":
                yield _Visit(f"/orders/{order}/shipping")
            case "invoice":
                yield _Visit(f"/orders/{order}/invoice")
            case "report":
                yield _Visit("/reports/countries")

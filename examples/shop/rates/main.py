"""The application: `uvicorn rates.main:app`."""

from __future__ import annotations

import asyncio
import logging

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

logger = logging.getLogger("rates")
logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
logger.setLevel(logging.INFO)

app = FastAPI(title="Rates")


class Quote(BaseModel):
    carrier: str
    price: int
    days: int


# Carrier -> cents for a kilogram, days on the road, seconds until it answers.
CARRIERS = {"parrot": (900, 1, 0.01), "swift": (600, 2, 0.02), "snail": (150, 9, 0.4)}


@app.get("/quotes/{carrier}/{reference}")
async def quote(carrier: str, reference: str, country: str, weight: int) -> Quote:
    """What `carrier` asks for `weight` grams to `country`."""
    if carrier not in CARRIERS:
        raise HTTPException(404, f"There is no carrier {carrier}")
    per_kilogram, days, seconds = CARRIERS[carrier]
    await asyncio.sleep(seconds)
    logger.info("%s: %d g to %s (%s)", carrier, weight, country, reference)
    price = 300 + per_kilogram * weight // 1000
    return Quote(carrier=carrier, price=price, days=days if country == "DE" else days + 2)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}

"""Invoices are made in threads: they are work for the processor, over a blocking connection."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

from shop.marks import in_log, in_sql
from shop.models import Invoice

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)


class InvoicePrinter:
    """Renders invoices in its own two threads."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="invoices")

    def close(self) -> None:
        self._threads.shutdown()

    async def print(self, order_id: int, tag: str | None) -> Invoice:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._render, order_id, tag)

    def _render(self, order_id: int, tag: str | None) -> Invoice:
        with closing(sqlite3.connect(self._database)) as database:
            lines = database.execute(
                "SELECT title, quantity, items.price FROM items"
                f" JOIN products ON products.id = product_id WHERE order_id = ?{in_sql(tag)}",
                (order_id,),
            ).fetchall()
        text = "\n".join(f"{n:3} x {title:20} {n * price / 100:9.2f}" for title, n, price in lines)
        checksum = hashlib.pbkdf2_hmac("sha256", text.encode(), b"invoice", 20_000).hex()
        logger.info("invoice of order %d is ready%s", order_id, in_log(tag))
        return Invoice(order_id=order_id, text=text, checksum=checksum)

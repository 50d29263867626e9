"""Reports: plain functions, which FastAPI runs in a thread."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing

from fastapi import APIRouter, Request

from shop.dependencies import Tag  # noqa: TC001 -- FastAPI reads it
from shop.marks import in_log, in_sql

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/reports", tags=["reports"])


@router.get("/countries")
def orders_by_country(request: Request, x_query_tag: Tag = None) -> dict[str, int]:
    with closing(sqlite3.connect(request.app.state.settings.database)) as database:
        rows = database.execute(
            "SELECT country, count(*) FROM orders JOIN customers ON customers.id = customer_id"
            f" WHERE orders.id <= 160 GROUP BY country ORDER BY country{in_sql(x_query_tag)}"
        ).fetchall()
    logger.info("orders by country: %d rows%s", len(rows), in_log(x_query_tag))
    return dict(rows)

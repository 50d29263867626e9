"""Looking for products."""

from __future__ import annotations

import logging

from fastapi import APIRouter, HTTPException

from shop.dependencies import ProductsDependency, Tag  # noqa: TC001 -- FastAPI reads them
from shop.marks import in_log
from shop.models import Product, ProductPage

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/products", tags=["products"])


@router.get("")
async def search(
    products: ProductsDependency, words: str = "", limit: int = 10, x_query_tag: Tag = None
) -> list[Product]:
    found = await products.find(words, limit)
    logger.info("%d products for %r%s", len(found), words, in_log(x_query_tag))
    return found


@router.get("/{product_id}")
async def page(
    product_id: int, products: ProductsDependency, x_query_tag: Tag = None
) -> ProductPage:
    product = await products.get(product_id)
    if product is None:
        logger.warning("no product %d%s", product_id, in_log(x_query_tag))
        raise HTTPException(404, f"There is no product {product_id}")
    return ProductPage(
        **product.model_dump(),
        reviews=await products.reviews(product_id),
        also_bought=await products.also_bought(product_id),
    )

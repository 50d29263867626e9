"""SQL, and nothing but SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shop.marks import in_sql
from shop.models import Item, Order, Product

if TYPE_CHECKING:
    from collections.abc import Iterable

    import aiosqlite

    from shop.models import NewItem


class Repository:
    """Runs statements on one connection. `tag` goes into each statement as a comment."""

    def __init__(self, connection: aiosqlite.Connection, tag: str | None = None) -> None:
        self._connection = connection
        self._comment = in_sql(tag)

    async def _all(self, sql: str, *values: object) -> list[aiosqlite.Row]:
        return list(await self._connection.execute_fetchall(sql + self._comment, values))

    async def _one(self, sql: str, *values: object) -> aiosqlite.Row | None:
        rows = await self._all(sql, *values)
        return rows[0] if rows else None

    async def _run(self, sql: str, *values: object) -> int:
        async with self._connection.execute(sql + self._comment, values) as cursor:
            return cursor.lastrowid or 0


class Products(Repository):
    async def find(self, words: str, limit: int) -> list[Product]:
        rows = await self._all(
            "SELECT id, title, price, stock FROM products WHERE title LIKE ? ORDER BY id LIMIT ?",
            f"%{words}%",
            limit,
        )
        return [Product(**row) for row in _dicts(rows)]

    async def get(self, product_id: int) -> Product | None:
        row = await self._one(
            "SELECT id, title, price, stock FROM products WHERE id = ?", product_id
        )
        return Product(**dict(row)) if row else None

    async def reviews(self, product_id: int) -> list[str]:
        rows = await self._all("SELECT text FROM reviews WHERE product_id = ?", product_id)
        return [row["text"] for row in rows]

    async def also_bought(self, product_id: int) -> list[str]:
        rows = await self._all(
            "SELECT title, count(*) AS times FROM items JOIN products ON products.id = product_id"
            " WHERE order_id <= 160 AND product_id <> ?1"
            " AND order_id IN (SELECT order_id FROM items WHERE product_id = ?1)"
            " GROUP BY title ORDER BY times DESC, title LIMIT 3",
            product_id,
        )
        return [row["title"] for row in rows]


class Orders(Repository):
    async def ids_of(self, customer_id: int) -> list[int]:
        rows = await self._all(
            "SELECT id FROM orders WHERE customer_id = ? AND id <= 160 ORDER BY id", customer_id
        )
        return [row["id"] for row in rows]

    async def get(self, order_id: int) -> Order | None:
        row = await self._one("SELECT id, customer_id, status FROM orders WHERE id = ?", order_id)
        if row is None:
            return None
        items = await self.items(order_id)
        return Order(**dict(row), items=items, total=sum(i.price * i.quantity for i in items))

    async def items(self, order_id: int) -> list[Item]:
        rows = await self._all(
            "SELECT product_id, title, quantity, items.price AS price"
            " FROM items JOIN products ON products.id = product_id WHERE order_id = ?",
            order_id,
        )
        return [Item(**row) for row in _dicts(rows)]

    async def parcel(self, order_id: int) -> tuple[str, int] | None:
        """The country that an order goes to, and its weight in grams."""
        row = await self._one(
            "SELECT country, sum(weight * quantity) AS weight FROM orders"
            " JOIN customers ON customers.id = customer_id JOIN items ON order_id = orders.id"
            " JOIN products ON products.id = product_id WHERE orders.id = ? GROUP BY orders.id",
            order_id,
        )
        return (row["country"], row["weight"]) if row else None

    async def add(self, customer_id: int) -> int:
        return await self._run("INSERT INTO orders (customer_id) VALUES (?)", customer_id)

    async def add_item(self, order_id: int, item: NewItem) -> None:
        await self._run(
            "INSERT INTO items SELECT ?, id, ?, price FROM products WHERE id = ?",
            order_id,
            item.quantity,
            item.product_id,
        )

    async def take_from_stock(self, item: NewItem) -> None:
        await self._run(
            "UPDATE products SET stock = stock - ? WHERE id = ?", item.quantity, item.product_id
        )

    async def total(self, order_id: int) -> int:
        row = await self._one(
            "SELECT sum(price * quantity) AS total FROM items WHERE order_id = ?", order_id
        )
        return (row["total"] if row else None) or 0

    async def add_mail(self, order_id: int, text: str) -> None:
        await self._run("INSERT INTO mails (order_id, text) VALUES (?, ?)", order_id, text)


def _dicts(rows: Iterable[aiosqlite.Row]) -> list[dict[str, Any]]:
    return [dict(row) for row in rows]

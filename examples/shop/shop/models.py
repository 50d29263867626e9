"""What goes in and out as JSON."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Product(BaseModel):
    id: int
    title: str
    price: int = Field(description="in cents")
    stock: int


class ProductPage(Product):
    reviews: list[str]
    also_bought: list[str]


class Item(BaseModel):
    product_id: int
    title: str
    quantity: int
    price: int


class Order(BaseModel):
    id: int
    customer_id: int
    status: str
    items: list[Item]
    total: int


class NewItem(BaseModel):
    product_id: int
    quantity: int = Field(ge=1, le=1000)


class NewOrder(BaseModel):
    customer_id: int
    items: list[NewItem] = Field(min_length=1)


class Placed(BaseModel):
    order_id: int
    total: int


class Quote(BaseModel):
    carrier: str
    price: int
    days: int


class Invoice(BaseModel):
    order_id: int
    text: str
    checksum: str

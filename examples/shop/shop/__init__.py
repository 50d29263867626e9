"""A small shop: products, orders, invoices."""

"""The viewer: a receiver of OTLP, a store and a page. A process of its own, which shares nothing
with the traced one but OTLP."""

"""The services that `benchmarks.requests` drives. They know of no tracer."""

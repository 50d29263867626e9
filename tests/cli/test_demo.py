"""The demo's traffic and its table, without its services."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from asynchooks.cli.demo_report import Trace, report
from asynchooks.cli.demo_traffic import ROUND, send_round

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-request-id: %d\r\n\r\nok"


def test_a_connection_that_ends_without_a_word_harms_nobody() -> None:
    """What uvicorn does after an application raised, at the worst moment: when the next request of
    the kept connection is there."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        failed = False
        try:
            while (head := await read_head(reader)) and not failed:
                length = re.search(rb"content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                count += 1
                writer.write(OK % count)
                failed = head.startswith(b"POST")
                if b"connection: close" in head:
                    break
        finally:
            writer.close()

    async def main() -> set[str]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        async with server:
            return await send_round(f"http://{host}:{port}")

    assert len(asyncio.run(main())) == ROUND


async def read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).lower().replace(b"post", b"POST", 1)
    except asyncio.IncompleteReadError:
        return b""


def trace(route: str, duration: int, *statements: str, error: str = "") -> Trace:
    spans: list[dict[str, Any]] = [
        {
            "service": "shop",
            "name": "SELECT",
            "is_query": True,
            "is_call": False,
            "duration_ns": 1_000_000,
            "status": 0,
            "message": "",
            "attributes": {"db.query.text": text},
        }
        for text in statements
    ]
    if error:
        spans[-1].update(status=2, message=error)
    summary = {
        "service": "shop",
        "method": "GET",
        "route": route,
        "path": route,
        "status": 500 if error else 200,
        "error": bool(error),
        "queries": len(statements),
        "calls": 0,
        "duration_ns": duration,
    }
    return Trace(summary, spans)


def test_each_planted_fault_is_in_the_table_however_slow_the_others_are() -> None:
    slow = [trace(f"/slow/{number}", 10_000_000_000 + number, "SELECT 1") for number in range(9)]
    repeating = trace("/orders", 1_000_000, "SELECT list", *["SELECT one"] * 8)
    failing = trace("/failing", 1_000_000, "UPDATE stock", error="CHECK constraint failed")
    text = report([*slow, repeating, failing], 1.0)
    slowest, _, rest = text.partition("The same query again and again (N+1)")
    assert slowest.count("GET /slow/") == 5
    repeated, _, failed = rest.partition("Failed")
    assert "GET /orders" in repeated
    assert "x8  SELECT one" in repeated
    assert "GET /failing" in failed
    assert "CHECK constraint failed" in failed


def test_a_section_of_nothing_is_left_out() -> None:
    text = report([trace("/orders", 1_000_000, "SELECT 1")], 1.0)
    assert "Slowest" in text
    assert "Failed" not in text
    assert "again" not in text

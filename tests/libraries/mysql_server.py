"""A server for the tests of MySQL's drivers: `python mysql_server.py PORT`.

It answers every query with one row, `desk`, and one about `nonsense` with MySQL's error for that.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from mysql_mimic import MysqlServer, Session  # type: ignore[import-untyped]
from mysql_mimic.errors import ErrorCode, MysqlError  # type: ignore[import-untyped]


class Desk(Session):  # type: ignore[misc] # it is untyped
    async def query(self, expression: Any, sql: str, attrs: dict[str, str]) -> Any:
        if "nonsense" in sql:
            raise MysqlError("You have an error in your SQL syntax", ErrorCode.PARSE_ERROR)
        return [("desk",)], ["name"]


async def main(port: int) -> None:
    server = MysqlServer(session_factory=Desk)
    await server.start_server(host="127.0.0.1", port=port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

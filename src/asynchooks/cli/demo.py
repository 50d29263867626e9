"""`asynchooks demo`: the example shop, requests for it, and what became of them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from asynchooks.cli.arguments import DEFAULT_PORT
from asynchooks.cli.console import CommandError, say
from asynchooks.cli.demo_services import Service, find_shop, free_port
from asynchooks.cli.viewer_process import start_viewer

if TYPE_CHECKING:
    import argparse

    from asynchooks.cli.demo_report import Trace

__all__ = ("demo",)

NEEDED = ("fastapi", "aiosqlite", "httpx", "starlette", "uvicorn", "opentelemetry")
SHOP_PORT = 8000
RATES_PORT = 8001
# How long the last request's spans may take until they can be read back.
ARRIVAL_DEADLINE = 20.0


def demo(arguments: argparse.Namespace) -> None:
    """Start everything, send one round of requests and print it; without `--once` go on sending
    a few, for whoever looks at the page, until Ctrl-C.

    Raises:
        CommandError: something is not installed, or does not start.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise CommandError(
            f"the demo needs {', '.join(missing)}, not installed here; "
            'pip install "asynchooks[demo]"'
        )
    example = find_shop()
    # Then everything that was started is ended on SIGTERM too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="asynchooks-demo-")))
        # A copy is the user's own code, as it is in a checkout; the original may be a library's.
        directory = shutil.copytree(example, folder / "example")
        port = free_port(DEFAULT_PORT) if arguments.port is None else arguments.port
        url = start_viewer(port, folder / "requests.db", lives_with=os.getpid())
        say(f"starting the shop, its page is {url}")
        rates = stack.enter_context(
            Service("rates", "rates.main:app", directory, folder, free_port(RATES_PORT), url)
        )
        shop = stack.enter_context(
            Service(
                "shop",
                "shop.main:app",
                directory,
                folder,
                free_port(SHOP_PORT),
                url,
                {"SHOP_DATABASE": str(folder / "shop.sqlite3"), "RATES_URL": rates.url},
            )
        )
        rates.wait_until_ready()
        shop.wait_until_ready()
        # What the demo alone needs is imported where it is known to be there.
        import httpx

        try:
            asyncio.run(_show(shop.url, url, once=arguments.once))
        except httpx.TransportError as exc:
            raise CommandError(f"the shop, or its page, does not answer any more: {exc!r}") from exc
        except KeyboardInterrupt:
            if arguments.once:
                raise


async def _show(shop: str, viewer: str, *, once: bool) -> None:
    from asynchooks.cli.demo_report import report
    from asynchooks.cli.demo_traffic import send_round, trickle

    started = time.monotonic()
    request_ids = await send_round(shop)
    seconds = time.monotonic() - started
    traces = await _read_back(viewer, request_ids)
    print(report(traces, seconds))
    if once:
        print("\n  The page ends here, too; without --once it stays up.")
        return
    print(
        f"\n  The page: {viewer}\n  The shop: {shop}/docs\n\n"
        "  A few requests go on coming. Ctrl-C ends it all.",
        flush=True,
    )
    await trickle(shop)


async def _read_back(viewer: str, request_ids: set[str]) -> list[Trace]:
    """The requests that the shop answered, out of the viewer's API, with their spans."""
    import httpx

    from asynchooks.cli.demo_report import Trace

    deadline = time.monotonic() + ARRIVAL_DEADLINE
    async with httpx.AsyncClient(base_url=viewer) as client:
        while True:
            page = (await client.get("/api/requests", params={"limit": 500})).json()
            ours = [one for one in page["requests"] if one["request_id"] in request_ids]
            ours = [one for one in ours if one["service"] == "shop"]
            if len(ours) == len(request_ids):
                break
            if time.monotonic() > deadline:
                raise CommandError(
                    f"{len(request_ids)} requests were sent, and only {len(ours)} of them arrived "
                    f"at {viewer} within {ARRIVAL_DEADLINE:.0f} s"
                )
            await asyncio.sleep(0.1)
        return [
            Trace(one, (await client.get(f"/api/requests/{one['trace_id']}")).json()["spans"])
            for one in ours
        ]

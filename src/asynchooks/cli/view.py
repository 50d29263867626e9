"""`asynchooks view`: the viewer, in this process."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from asynchooks.cli.console import CommandError, say
from asynchooks.cli.viewer_process import MissingExtraError, store_of_viewer

if TYPE_CHECKING:
    import argparse

__all__ = ("view",)


def view(arguments: argparse.Namespace) -> None:
    """Serve until Ctrl-C, which is how it ends well.

    Raises:
        CommandError: the port is taken, the store cannot be written, or the extra is missing.
    """
    try:
        from asynchooks.viewer.errors import ViewerError
        from asynchooks.viewer.server import serve
        from asynchooks.viewer.store import default_store_path
    except ModuleNotFoundError as exc:
        raise MissingExtraError(exc.name or str(exc)) from exc
    # The server raises the signal anew when it has ended; the store is to be closed then.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    store = (arguments.store or default_store_path()).absolute()
    try:
        serve(
            arguments.host,
            arguments.port,
            store,
            announce=lambda url: say(f"requests at {url} (stored in {store}); Ctrl-C ends"),
        )
    except KeyboardInterrupt:
        return
    except ViewerError as exc:
        host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
        url = f"http://{host}:{arguments.port}"
        if arguments.port and store_of_viewer(url):
            raise CommandError(f"a viewer is there already: {url}") from exc
        raise CommandError(str(exc)) from exc

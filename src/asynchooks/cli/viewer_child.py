"""What `viewer_process.start_viewer` runs: `viewer_child PID CHANNEL PORT [STORE]`.

Writes one line to the file descriptor CHANNEL, `url URL`, `missing MODULE` or `error MESSAGE`, and
closes it. Serves until the process PID has ended.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from pathlib import Path

__all__ = ("main", "wait_for_exit")

POLL_INTERVAL = 0.2


def main() -> None:
    lives_with, channel, port = (int(text) for text in sys.argv[1:4])
    # The command must not find a child that it did not start: it may wait for all of its own.
    if os.fork() != 0:
        os._exit(0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    watcher = threading.Thread(target=_end_with, args=(lives_with,), daemon=True)
    watcher.start()

    def tell(kind: str, detail: str) -> None:
        os.write(channel, f"{kind} {' '.join(detail.split())}\n".encode())
        os.close(channel)

    try:
        from asynchooks.viewer.errors import ViewerError
        from asynchooks.viewer.server import serve
        from asynchooks.viewer.store import default_store_path
    except ModuleNotFoundError as exc:
        tell("missing", exc.name or str(exc))
        return
    store = Path(sys.argv[4]) if len(sys.argv) > 4 else default_store_path()
    try:
        serve("127.0.0.1", port, store, announce=lambda url: tell("url", url))
    except ViewerError as exc:
        tell("error", str(exc))


def wait_for_exit(pid: int) -> None:
    """Block until the process `pid`, which need not be a child, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # not Linux, or a sandbox that forbids it
        while _exists(pid):
            time.sleep(POLL_INTERVAL)
        return
    try:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        poller.poll()
    finally:
        os.close(descriptor)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _end_with(pid: int) -> None:
    wait_for_exit(pid)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()

"""FastAPI: a dependency that is a function and yields has one context from its first line to its
last; what it sets is seen by the endpoint. Those that return run as Starlette's functions do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks._patching import step_out
from asynchooks.integrations.contexts import Changes, Kept, iterating_in_one_context
from asynchooks.integrations.wrapping import through

if TYPE_CHECKING:
    from asynchooks.integrations.wrapping import Wrap


class _InThread:
    """The context manager of a dependency that yields, entered and left in threads."""

    def __init__(self, manager: Any, changes: Changes) -> None:
        self._manager = manager
        self._changes = changes
        self._kept = Kept()

    def __enter__(self) -> Any:
        try:
            return self._kept.run(self._changes.call, self._manager.__enter__)
        except BaseException as exc:
            step_out(exc)
            raise

    def __exit__(self, *exc_info: object) -> Any:
        try:
            return self._kept.run(self._changes.call, self._manager.__exit__, *exc_info)
        except BaseException as exc:
            step_out(exc)
            raise


class _InTask:
    """The same, where the request awaits it."""

    def __init__(self, original: Any, manager: Any) -> None:
        self._changes = Changes()
        self._inner = original(_InThread(manager, self._changes))

    async def __aenter__(self) -> Any:
        try:
            return await self._inner.__aenter__()
        except BaseException as exc:
            step_out(exc)
            raise
        finally:
            self._changes.bring()

    async def __aexit__(self, *exc_info: object) -> Any:
        try:
            return await self._inner.__aexit__(*exc_info)
        except BaseException as exc:
            step_out(exc)
            raise
        finally:
            self._changes.bring()


PATCHES: dict[str, Wrap] = {
    "fastapi.routing:iterate_in_threadpool?": iterating_in_one_context,
    "fastapi.dependencies.utils:contextmanager_in_threadpool": through(_InTask),
}

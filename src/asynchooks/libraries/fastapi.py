"""FastAPI: the template of a route that came through `include_router`, with its prefixes.

Other routes are Starlette's. Where an included route is not copied (recent releases), what it is in
its new place stands in the scope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynchooks.libraries.routes import remembering_route_of

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches

NAME = "fastapi"
MODULE = "fastapi.routing"
SUPPORTED = ("0.100", "1")


def install(patches: Patches, module: ModuleType) -> None:
    if "handle" in vars(module.APIRoute):
        patches.wrap(module.APIRoute, "handle", remembering_route_of("fastapi", _template_of))


def _template_of(route: Any, scope: Any, *rest: Any) -> str | None:
    context = scope.get("fastapi", {}).get("effective_route_context")
    if context is None or context.original_route is not route:
        return None  # it goes on to Starlette's handle
    template: str = context.path_format
    return template

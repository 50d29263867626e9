"""OpenTelemetry's API on our spans, and our spans in an OpenTelemetry SDK.

In force from the moment that the application imports `opentelemetry.trace`, which we never do
first. Until it sets a provider of its own, the API's tracers make spans of ours; once it sets an
SDK's, the API's spans are the SDK's, and ours go to its processors. The API's context and ours are
one in both cases. Packages that instrument libraries which we do not know are switched on when
those libraries are imported.

`opentelemetry` is imported by the modules of this package, and by nothing else of ours; they are
imported when it has been.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynchooks import tracing
from asynchooks._patching import Patches
from asynchooks.opentelemetry import instrumentors

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ("install", "uninstall")

_patches = Patches()


def install() -> None:
    """Connect OpenTelemetry as soon as it is there, unless `OTEL_SDK_DISABLED` says otherwise."""
    if tracing.is_disabled():
        return
    _patches.when_imported("opentelemetry.trace", _connect)
    instrumentors.install(_patches)


def uninstall() -> None:
    """Put everything back as it was."""
    instrumentors.uninstall()
    _patches.undo()
    tracing.export_to(None)


def _connect(module: ModuleType) -> None:
    from asynchooks.opentelemetry import provider, runtime, sdk

    runtime.install(_patches)
    provider.install(_patches)
    sdk.install(_patches)

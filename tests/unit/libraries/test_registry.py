"""Which libraries there are: each in a version that we know."""

from __future__ import annotations

import pytest

from asynchooks.libraries import registry


@pytest.mark.parametrize("library", registry.LIBRARIES, ids=lambda library: str(library.__name__))
def test_what_is_installed_here_is_known(library: registry.Library) -> None:
    version = registry.version_of(library)
    assert version is None or registry.is_supported(library, version)

"""Whom the viewer answers: this machine, by the addresses it is known by."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.viewer.conftest import PROTOBUF, Export, Viewer

if TYPE_CHECKING:
    from asynchooks.viewer.store import Store


@pytest.mark.parametrize("host", ["127.0.0.1:4318", "localhost:4318", "[::1]:4318", "LOCALHOST"])
def test_loopback_by_any_of_its_names(viewer: Viewer, host: str) -> None:
    assert viewer.get("/api/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4318", "127.0.0.1.evil.example", "10.0.0.7", "[", ""]
)
def test_a_name_that_resolves_to_us_is_not_ours(viewer: Viewer, host: str) -> None:
    """DNS rebinding: a page of that name would be of our origin."""
    for path in ("/", "/api/requests", "/api/live"):
        answer = viewer.get(path, headers={"host": host})
        assert answer.status_code == 403
        assert "is not this viewer's" in answer.json()["error"]
    answer = viewer.post(Export().body, host=host, **PROTOBUF)
    assert answer.status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://10.0.0.7:4318", "["])
def test_another_origin_may_not_write(viewer: Viewer, origin: str) -> None:
    answer = viewer.post(Export().body, origin=origin, **PROTOBUF)
    assert answer.status_code == 403
    assert "may not write here" in answer.json()["error"]
    # Reading, the browser keeps from it: there is no header that would allow it.
    assert "access-control-allow-origin" not in viewer.get("/api/requests").headers


@pytest.mark.parametrize("origin", ["http://127.0.0.1:4318", "http://localhost:5173"])
def test_our_own_page_may(viewer: Viewer, origin: str) -> None:
    assert viewer.post(Export().body, origin=origin, **PROTOBUF).status_code == 200


def test_bound_to_all_addresses_any_address_is_ours_and_still_no_name(store: Store) -> None:
    with asyncio.Runner() as runner:
        viewer = Viewer(store, runner, host="0.0.0.0")
        for host, status in (("10.0.0.7:4318", 200), ("[fe80::1]:1", 200), ("evil.example", 403)):
            assert viewer.get("/api/health", headers={"host": host}).status_code == status


def test_the_page_may_load_nothing_from_elsewhere(viewer: Viewer) -> None:
    answer = viewer.get("/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/../app.py", "/%2e%2e/app.py", "/static/../../store.py", "/x"])
def test_files_of_the_page_and_no_others(viewer: Viewer, path: str) -> None:
    assert viewer.get(path).status_code == 404

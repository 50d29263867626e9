"""The page in a real browser: a person finds a request, opens it and sees its queries."""

from __future__ import annotations

import json
import shutil
import urllib.request
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright
from tests.integration.conftest import DEADLINE
from tests.viewer.conftest import Export

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.conftest import Shop, Starter, Viewer

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
# As root and in a container; and nothing that calls home.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

# As long as `wait_until` waits: a busy machine is no failure.
expect.set_options(timeout=DEADLINE * 1000)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not CHROMIUM, reason="Chromium is not installed (Debian: apt-get install chromium)"
    ),
]


@pytest.fixture
def page(viewer: Viewer) -> Iterator[Page]:
    """A page; whatever it complains of in its console fails the test. It is closed before `viewer`
    ends, of which it would complain."""
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        # The browser's own line for an answer that the page knows how to take.
        if message.type == "error" and "status of 400" not in message.text:
            complaints.append(message.text)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(DEADLINE * 1000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", listen)
        yield page
        browser.close()
    assert complaints == []


@pytest.fixture
def shop(start: Starter, viewer: Viewer) -> Shop:
    return start.shop(viewer=viewer)


def visit(shop: Shop, path: str, request_id: str, order: object = None) -> None:
    body = json.dumps(order).encode() if order is not None else None
    headers = {"x-request-id": request_id, "content-type": "application/json"}
    request = urllib.request.Request(shop.url + path, body, headers)
    try:
        urllib.request.urlopen(request, timeout=60).close()
    except urllib.error.HTTPError as answer:
        answer.close()


def test_a_request_comes_by_itself_and_shows_its_queries(
    page: Page, shop: Shop, viewer: Viewer
) -> None:
    page.goto(viewer.url)
    expect(page.locator(".live")).to_have_text("live")
    visit(shop, "/orders/7", "find-me")
    row = page.locator("table.requests tbody tr").filter(has_text="/orders/{order_id}")
    expect(row).to_have_count(1)
    cells = row.locator("td").all_inner_texts()
    assert cells[1:3] == ["shop", "GET"]
    assert cells[4] == "200"
    assert cells[6] == "2"
    row.get_by_role("link").click()
    expect(page.locator("h2")).to_contain_text("GET /orders/{order_id}")
    expect(page.locator(".facts")).to_contain_text("find-me")
    waterfall = page.locator("main.trace")
    expect(waterfall).to_contain_text("SELECT id, customer_id, status FROM orders")
    expect(waterfall).to_contain_text("SELECT product_id, title, quantity")


def test_a_query_s_text_and_the_line_that_caused_it(page: Page, shop: Shop, viewer: Viewer) -> None:
    visit(shop, "/orders/7", "find-me")
    page.goto(viewer.url)
    page.get_by_role("link", name="/orders/{order_id}").click()
    page.get_by_text("SELECT id, customer_id, status FROM orders").first.click()
    details = page.locator("aside")
    expect(details).to_contain_text("SELECT id, customer_id, status FROM orders WHERE id = ?")
    expect(details).to_contain_text("repositories.py")


def test_the_planted_faults_are_seen(page: Page, shop: Shop, viewer: Viewer) -> None:
    visit(shop, "/orders?customer_id=3", "n-plus-one")
    visit(shop, "/orders/7/shipping", "slow-call")
    visit(
        shop,
        "/orders",
        "failing",
        {"customer_id": 3, "items": [{"product_id": 13, "quantity": 900}]},
    )
    page.goto(viewer.url)
    rows = page.locator("table.requests tbody tr")
    failed = rows.filter(has_text="POST")
    expect(failed).to_have_class("failed")
    failed.get_by_role("link").click()
    expect(page.locator("main.trace")).to_contain_text("CHECK constraint failed")
    page.get_by_role("button", name="Next failure").click()
    expect(page.locator("aside")).to_contain_text("IntegrityError")

    page.goto(f"{viewer.url}/#/")
    rows.filter(has_text="customer_id").or_(rows.filter(has_text="/orders")).filter(
        has_not_text="POST"
    ).filter(has_not_text="shipping").get_by_role("link").click()
    # The same query many times over is folded into one line that says so.
    expect(page.locator("main.trace")).to_contain_text("N+1")

    page.goto(f"{viewer.url}/#/")
    rows.filter(has_text="shipping").get_by_role("link").click()
    expect(page.locator("main.trace")).to_contain_text("snail")


def test_the_filter_box(page: Page, shop: Shop, viewer: Viewer) -> None:
    for number in range(1, 4):
        visit(shop, f"/orders/{number}", f"order-{number}")
    visit(shop, "/products/999", "missing")
    page.goto(viewer.url)
    rows = page.locator("table.requests tbody tr")
    expect(rows.filter(has_text="/orders/")).to_have_count(3)
    box = page.get_by_role("searchbox", name="Filter requests")
    box.fill("status:404")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("/products/{product_id}")
    box.fill("id:order-2")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("/orders/2")
    box.fill("nothing-is-called-so")
    expect(page.locator(".empty")).to_have_text("No request passes this filter.")


def test_a_filter_that_makes_no_sense_is_spoken_of(page: Page, viewer: Viewer) -> None:
    page.goto(viewer.url)
    page.get_by_role("searchbox", name="Filter requests").fill("colour:red")
    expect(page.get_by_role("alert")).to_contain_text("is not something to filter by")
    page.get_by_role("searchbox", name="Filter requests").fill("")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_it_can_be_used_by_keyboard(page: Page, shop: Shop, viewer: Viewer) -> None:
    visit(shop, "/orders/7", "find-me")
    page.goto(viewer.url)
    expect(page.get_by_role("link", name="/orders/{order_id}")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Filter requests")).to_be_focused()
    page.keyboard.type("/orders/7")
    expect(page).to_have_url(f"{viewer.url}/#/?filter=%2Forders%2F7")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="/orders/{order_id}")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h2")).to_contain_text("GET /orders/{order_id}")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Filter spans")).to_be_focused()
    page.get_by_role("treegrid").focus()
    page.keyboard.press("Escape")
    expect(page.locator("table.requests")).to_be_visible()
    page.reload()
    expect(page.get_by_role("searchbox", name="Filter requests")).to_have_value("/orders/7")


def test_a_failure_inside_a_fold_is_found(page: Page, viewer: Viewer) -> None:
    export = Export()
    root = export.server("/orders")
    for number in range(9):
        export.query("SELECT 1", parent=root, error="it is gone" if number == 6 else "")
    post = urllib.request.Request(
        f"{viewer.url}/v1/traces", export.body, {"content-type": "application/x-protobuf"}
    )
    urllib.request.urlopen(post, timeout=60).close()
    page.goto(viewer.url)
    row = page.locator("table.requests tbody tr")
    expect(row).to_contain_text("1 failed")
    row.get_by_role("link").click()
    expect(page.locator("main.trace")).to_contain_text("9 N+1")
    expect(page.locator(".row")).to_have_count(2)
    page.get_by_role("button", name="Next failure").click()
    expect(page.locator("aside")).to_contain_text("it is gone")
    expect(page.locator(".row")).to_have_count(11)
    expect(page.locator(".row.selected.failed")).to_be_visible()

"""The desk on a desk, a tablet and a phone: buttons cover no heading, filters have their place."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from devstack.stack import Stack
from tests.browser.conftest import Login
from tests.browser.shoppers import log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

WIDTHS = (1440, 768, 390)
# Each has rows in a new shop.
LISTS = ("billing/wallet", "accounts/user", "proxy/route", "accounts/auditline")
OVERLAPS = """() => {
  const area = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return range.getBoundingClientRect();
  };
  const headings = [...document.querySelectorAll("h1, #content > h2")];
  return [...document.querySelectorAll(".object-tools a")].flatMap((tool) =>
    headings.filter((heading) => {
      const [a, b] = [tool.getBoundingClientRect(), area(heading)];
      return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    }).map((heading) => `${tool.textContent.trim()} covers ${heading.textContent.trim()}`));
}"""
CAPITALS = """() => [...document.querySelectorAll("h1, h2, h3")]
  .filter((heading) => getComputedStyle(heading).textTransform !== "none")
  .map((heading) => heading.textContent.trim())"""
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
TABLE_AND_FILTER = """() => ["#changelist-filter", "#result_list"].map(
  (name) => document.querySelector(name).getBoundingClientRect().toJSON())"""


@pytest.fixture(scope="module")
def clerk(stack: Stack, staff: Login, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(base_url=stack.url)
    page = context.new_page()
    log_in(page, staff.email, staff.password)
    page.wait_for_load_state()
    yield page
    context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_buttons_cover_no_heading_and_no_heading_is_in_capitals(clerk: Page, width: int) -> None:
    clerk.set_viewport_size({"width": width, "height": 900})
    wrong = []

    for model in ("billing/wallet", "proxy/provider", "billing/publicmodel", "billing/pack"):
        clerk.goto(f"/admin/{model}/")
        row = clerk.locator("#result_list tbody th a").first.get_attribute("href")
        for path in (f"/admin/{model}/", str(row)):
            clerk.goto(path)
            wrong += clerk.evaluate(OVERLAPS) + clerk.evaluate(CAPITALS)
            if wide := clerk.evaluate(TOO_WIDE):
                wrong.append(f"{path} is {wide} pixels too wide")

    assert wrong == []


@pytest.mark.parametrize("path", LISTS)
def test_on_a_tablet_filters_stand_above_a_table_of_the_whole_width(clerk: Page, path: str) -> None:
    clerk.set_viewport_size({"width": 768, "height": 1024})
    clerk.goto(f"/admin/{path}/")

    filters, table = clerk.evaluate(TABLE_AND_FILTER)

    assert filters["bottom"] <= table["top"]
    assert filters["width"] > 700
    assert table["width"] > 700

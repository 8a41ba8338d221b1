"""A customer lets the balance top itself up, changes that, and switches it off again."""

import pytest
from playwright.sync_api import Page, expect

from devstack.stack import Stack
from tests.browser.conftest import Browsers
from tests.browser.customers import sign_up
from tests.browser.pictures import keep

pytestmark = pytest.mark.browser

PAGE = "/dashboard/top-up/"
# The worker sweeps every ten seconds.
PATIENCE_MS = 40_000


def fill_in(page: Page, *, level: str, limit: str) -> None:
    page.get_by_label("When my balance falls below").fill(level)
    page.get_by_label("Spend at most").fill(limit)
    page.get_by_label("I allow").check()


def test_a_balance_tops_itself_up_until_it_is_told_not_to(stack: Stack, browsers: Browsers) -> None:
    page = sign_up(browsers.open(), stack, "carefree").page
    main = page.get_by_role("main")
    page.goto(PAGE)

    fill_in(page, level="500000", limit="50")
    page.get_by_role("button", name="Continue and save a card").click()
    page.get_by_role("button", name="Save card").click()
    expect(main).to_contain_text("Visa ending in 4242")

    bought = page.get_by_role("row").filter(has_text="Paid")
    for _ in range(PATIENCE_MS // 1_000):
        if bought.count():
            break
        page.wait_for_timeout(1_000)
        page.reload()
    expect(main).to_contain_text("$5.00 of $50.00")
    keep(page, "top-up/on")

    fill_in(page, level="400000", limit="20")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(main).to_contain_text("$5.00 of $20.00")

    page.get_by_role("button", name="Switch off").click()
    expect(page.get_by_text("Automatic top-up is off.")).to_be_visible()
    page.get_by_role("button", name="Remove the card").click()
    expect(main).to_contain_text("none saved")

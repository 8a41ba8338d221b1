"""A customer lets the balance top itself up, changes that, and switches it off again."""

import pytest
from playwright.sync_api import Page, expect

from devstack.stack import Stack
from tests.browser.conftest import Browsers
from tests.browser.pictures import keep
from tests.browser.shoppers import sign_up
from tests.waiting import await_true

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


def test_a_card_that_is_declined_switches_it_off_and_leads_to_checkout(
    stack: Stack, browsers: Browsers
) -> None:
    page = sign_up(browsers.open(), stack, "overdrawn").page
    main = page.get_by_role("main")
    page.goto(PAGE)
    fill_in(page, level="500000", limit="50")
    page.get_by_role("button", name="Continue and save a card").click()
    # It can be saved, and fails whenever it is charged.
    page.get_by_label("Card number").fill("4000 0000 0000 0341")
    page.get_by_role("button", name="Save card").click()
    expect(main).to_contain_text("Visa ending in 0341")

    words = "Automatic top-up was switched off"
    await_true(lambda: page.reload() and words in main.inner_text(), what="the card is declined")
    keep(page, "top-up/declined")
    expect(main).to_contain_text("Your card was declined, and nothing was charged")
    page.get_by_role("link", name="Buy credits with another card").click()
    page.get_by_role("button", name="Continue to payment").click()
    page.get_by_role("button", name="Pay $5.00").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("1,000,000 credits are yours")


def test_who_leaves_the_page_for_the_card_finds_it_waiting(
    stack: Stack, browsers: Browsers
) -> None:
    page = sign_up(browsers.open(), stack, "undecided").page
    page.goto(PAGE)
    fill_in(page, level="500000", limit="50")
    page.get_by_role("button", name="Continue and save a card").click()

    page.get_by_role("link", name="Cancel and go back").click()

    expect(page.locator(".badge").first).to_have_text("Waits for a card")
    expect(page.get_by_role("main")).to_contain_text("none saved")

"""What a person does with an account: get in beside a stranger, move, look who is in, and leave."""

import httpx
import pytest
from playwright.sync_api import Page, expect

from devstack.stack import Stack
from tests.browser.conftest import Browsers
from tests.browser.pictures import keep
from tests.browser.shoppers import (
    CONFIRM,
    PASSWORD,
    RESET,
    log_in,
    log_out,
    mailed,
    mailed_link,
    sign_up,
)
from tests.waiting import await_true

pytestmark = pytest.mark.browser

# Of the networks that are kept for documentation: a café that the stranger sits in, too.
CAFE = {"X-Forwarded-For": "203.0.113.5"}
PHONE = {"width": 390, "height": 844}


def expect_h1(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def test_a_strangers_wrong_passwords_lock_nobody_out(stack: Stack, browsers: Browsers) -> None:
    owner = sign_up(browsers.open(), stack, "locked-out")
    log_out(owner.page)
    stranger = browsers.open(extra_http_headers=CAFE)
    for number in range(6):
        log_in(stranger, owner.email, f"a wrong one {number}")
    expect(stranger.get_by_role("main")).to_contain_text("Too many failed login attempts")
    keep(stranger, "accounts/locked-out")

    log_in(stranger, owner.email, PASSWORD)
    expect_h1(stranger, "Log in")
    # The owner's own browser, in the same café.
    owner.page.set_extra_http_headers(CAFE)
    log_in(owner.page, owner.email)
    expect_h1(owner.page, "Overview")
    # And a new one, which the link in the mailbox makes known.
    elsewhere = browsers.open(extra_http_headers=CAFE)
    log_in(elsewhere, owner.email)
    expect_h1(elsewhere, "Log in")
    elsewhere.goto("/accounts/password/reset/")
    elsewhere.get_by_label("Email").fill(owner.email)
    elsewhere.get_by_role("button", name="Send the link").click()
    elsewhere.goto(mailed_link(stack, owner.email, RESET))
    for field in elsewhere.locator("input[type=password]").all():
        field.fill("mine from now on")
    elsewhere.get_by_role("button", name="Save the password").click()
    log_in(elsewhere, owner.email, "mine from now on")

    expect_h1(elsewhere, "Overview")


def test_other_browsers_are_listed_and_logged_out(stack: Stack, browsers: Browsers) -> None:
    customer = sign_up(browsers.open(), stack, "everywhere")
    one, two = browsers.open(), browsers.open()
    for other in (one, two):
        log_in(other, customer.email)
        expect_h1(other, "Overview")
    page = customer.page
    page.goto("/accounts/sessions/")
    expect(page.get_by_role("main").locator("section")).to_have_count(3)
    keep(page, "accounts/sessions")

    page.get_by_role("button", name="Log it out").first.click()
    expect(page.get_by_role("main").locator("section")).to_have_count(2)
    page.get_by_role("button", name="Log out all others").click()
    expect(page.get_by_role("main").locator("section")).to_have_count(1)

    for other in (one, two):
        other.goto("/dashboard/keys/")
        expect_h1(other, "Log in")
    page.goto("/dashboard/")
    expect_h1(page, "Overview")


def test_an_address_is_replaced_once_its_link_is_opened(stack: Stack, browsers: Browsers) -> None:
    customer = sign_up(browsers.open(), stack, "mover")
    page = customer.page
    page.goto(mailed_link(stack, customer.email, CONFIRM))
    page.get_by_role("main").get_by_role("button").first.click()
    page.goto("/accounts/email/")
    page.get_by_label("Email").last.fill("moved@example.com")
    page.get_by_role("button", name="Change the address").click()
    main = page.get_by_role("main")
    expect(main).to_contain_text("It is to become moved@example.com")
    keep(page, "accounts/address-asked")
    await_true(lambda: "moved@example.com" in mailed(stack, customer.email), what="the old is told")
    elsewhere = browsers.open()
    log_in(elsewhere, "moved@example.com")
    expect_h1(elsewhere, "Log in")

    page.goto(mailed_link(stack, "moved@example.com", CONFIRM))
    page.get_by_role("main").get_by_role("button").first.click()

    page.goto("/accounts/email/")
    expect(main).to_contain_text("moved@example.com")
    expect(main).not_to_contain_text(customer.email)
    log_in(elsewhere, "moved@example.com")
    expect_h1(elsewhere, "Overview")
    await_true(
        lambda: "The old one opens nothing any more" in mailed(stack, customer.email),
        what="the old address is told of its replacement",
    )


def test_data_is_taken_along_and_the_account_deleted_on_a_phone(
    stack: Stack, browsers: Browsers
) -> None:
    customer = sign_up(browsers.open(viewport=PHONE), stack, "phone-leaver")
    secret = customer.create_key("Laptop")
    session_id = customer.order("starter")
    page = customer.page
    page.goto("/dashboard/settings/data/")
    page.get_by_role("contentinfo").get_by_role("button", name="Deutsch").click()
    expect_to_fit(page)
    # The last of many tabs, which are one line in the longest words, is in view.
    tabs = page.get_by_role("main").get_by_role("navigation", name="Konto", exact=True)
    expect(tabs.get_by_role("link", name="Daten")).to_be_in_viewport(ratio=1)
    assert tabs.evaluate("row => row.clientHeight") < 60
    page.get_by_role("contentinfo").get_by_role("button", name="English").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download my data").click()
    assert download.value.suggested_filename == "my-data.zip"
    page.get_by_role("link", name="Delete my account").click()
    expect_to_fit(page)
    page.get_by_label("Type your email address to confirm").fill(customer.email)
    page.get_by_role("button", name="Delete it for good").click()

    expect_h1(page, "Your account is deleted")
    expect_to_fit(page)
    call = httpx.get(f"{stack.url}/v1/models", headers={"Authorization": f"Bearer {secret}"})
    assert call.status_code == 401
    # The payment page that was left open has ended with it.
    page.goto(f"{stack.stripe_url}/c/pay/{session_id}")
    expect(page.locator("body")).to_contain_text("expired")


def expect_to_fit(page: Page) -> None:
    """Nothing scrolls sideways."""
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"], page.url

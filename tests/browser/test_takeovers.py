"""Two ways in which a stranger tries to keep an account under somebody else's address."""

import httpx
import pytest
from playwright.sync_api import Page, expect

from devstack.stack import Stack
from tests.browser.conftest import Browsers
from tests.browser.pictures import keep
from tests.browser.shoppers import CONFIRM, RESET, mailed_link, sign_up

pytestmark = pytest.mark.browser


def reset(page: Page, stack: Stack, email: str) -> None:
    """Ask for the link of a new password, and open it."""
    page.goto("/accounts/password/reset/")
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Send the link").click()
    page.goto(mailed_link(stack, email, RESET))


def test_an_account_made_before_its_owner_came_is_taken_over(
    stack: Stack, browsers: Browsers
) -> None:
    stranger = sign_up(browsers.open(), stack, "first-victim")
    secret = stranger.create_key("Sleeper")
    owner = browsers.open()

    reset(owner, stack, stranger.email)
    expect(owner.get_by_role("main")).to_contain_text("Nobody has confirmed this address before")
    keep(owner, "takeovers/what-ends")
    for field in owner.locator("input[type=password]").all():
        field.fill("mine from now on")
    owner.get_by_role("button", name="Save the password").click()
    expect(owner.get_by_role("heading", level=1)).to_have_text("Your password is changed")
    keep(owner, "takeovers/ended")

    stranger.page.goto("/dashboard/keys/")
    expect(stranger.page.get_by_role("heading", level=1)).to_have_text("Log in")
    call = httpx.get(f"{stack.url}/v1/models", headers={"Authorization": f"Bearer {secret}"})
    assert call.status_code == 401


def test_a_link_opened_by_the_addresses_owner_makes_no_stranger_good(
    stack: Stack, browsers: Browsers
) -> None:
    stranger = sign_up(browsers.open(), stack, "second-victim")
    keep(stranger.page, "takeovers/asked-to-confirm")
    owner = browsers.open()

    owner.goto(mailed_link(stack, stranger.email, CONFIRM))

    expect(owner.get_by_role("heading", level=1)).to_have_text("Log in to confirm your address")
    keep(owner, "takeovers/not-by-the-link")
    stranger.page.goto("/dashboard/")
    expect(stranger.page.get_by_role("main")).to_contain_text("Please confirm that")

"""A team of two: invited, joined, bought for, capped, removed; on a desk and on a phone."""

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from devstack.stack import Stack
from tests.browser.conftest import Browsers
from tests.browser.pictures import SIZES, keep
from tests.browser.shoppers import CONFIRM, INVITED, PASSWORD, Shopper, mailed, sign_up
from tests.waiting import await_true

pytestmark = pytest.mark.browser

TEAM = "Analytical <b>Engines</b> & Sons, of Ockham and the Park"


def mailed_link(stack: Stack, email: str, link: re.Pattern[str]) -> str:
    await_true(lambda: link.search(mailed(stack, email)), what="the mail")
    return str(link.findall(mailed(stack, email))[0])


def confirm(customer: Shopper) -> None:
    """Open the link that confirms one's address, and press its button."""
    customer.page.goto(mailed_link(customer.stack, customer.email, CONFIRM))
    customer.page.get_by_role("button", name="Yes, it is mine").click()


def assert_fits(page: Page) -> None:
    """No page scrolls sideways, on a phone, a tablet or a desk."""
    before = page.viewport_size
    assert before
    for width in (360, 768, 1440):
        page.set_viewport_size({"width": width, "height": before["height"]})
        fits = page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert fits, (page.url, width)
    page.set_viewport_size(before)


@pytest.mark.parametrize("size", SIZES)
def test_two_people_share_a_balance(stack: Stack, browsers: Browsers, size: str) -> None:
    owner = sign_up(browsers.open(viewport=SIZES[size]), stack, f"owner-{size}")
    confirm(owner)
    base = found_team(owner.page, size)
    guest = Shopper(f"guest-{size}@example.com", browsers.open(viewport=SIZES[size]), stack)

    invite(owner.page, guest.email, size)
    join(guest, base, size)
    buy_for(owner.page, base)
    spend(guest, base)
    cap(owner.page, base, guest.email, size)
    await_true(lambda: guest.ask("gpt-4o", max_tokens=5).status_code == 429, what="the cap")
    remove(owner.page, size)

    secret = {"Authorization": f"Bearer {guest.secrets['Engine']}"}
    assert httpx.get(f"{stack.url}/v1/models", headers=secret).status_code == 401
    guest.page.goto("/dashboard/")
    expect(guest.page.get_by_role("main")).not_to_contain_text("Analytical")
    await_true(lambda: "refused from now on" in mailed(stack, guest.email), what="the mail")
    read_trail(owner.page, base, guest.email, size)
    switch(owner, base, size)


def found_team(page: Page, size: str) -> str:
    """Create a team from the account page; return how the addresses of its pages begin."""
    page.goto("/dashboard/settings/profile/")
    page.get_by_role("link", name="Create a team").click()
    keep(page, f"teams/{size}-new")
    page.get_by_label("Name").fill(TEAM)
    page.get_by_role("button", name="Create team").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Invitations")
    return page.url.partition("/team/")[0]


def invite(page: Page, email: str, size: str) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Role").select_option("developer")
    page.get_by_role("button", name="Send invitation").click()
    expect(page.get_by_role("status")).to_contain_text(f"{email} is invited")
    assert_fits(page)
    keep(page, f"teams/{size}-invitations")


def join(guest: Shopper, base: str, size: str) -> None:
    """Open the link without an account, make one, confirm its address, and accept."""
    page, link = guest.page, mailed_link(guest.stack, guest.email, INVITED)
    page.goto(link)
    expect(page.get_by_role("main")).not_to_contain_text("Analytical")
    keep(page, f"teams/{size}-invited")
    page.get_by_role("main").get_by_role("link", name="Create an account").click()
    page.get_by_label("Email").fill(guest.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("main")).to_contain_text("Confirm your address")
    confirm(guest)
    page.goto(link)
    keep(page, f"teams/{size}-join")
    page.get_by_role("button", name="Join the team").click()
    expect(page.get_by_role("status").first).to_contain_text("You are in the team")
    assert page.url == f"{base}/"
    assert_fits(page)
    keep(page, f"teams/{size}-joined")


def buy_for(page: Page, base: str) -> None:
    """Buy the team's first pack."""
    page.goto(base.removesuffix("/dashboard") + "/billing/checkout/starter/")
    page.get_by_role("button", name="Continue to payment").click()
    page.get_by_role("button", name="Pay $5.00").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("credits are yours")


def spend(guest: Shopper, base: str) -> None:
    """Make a key in the team, call the API with it, and find the receipt."""
    page = guest.page
    page.goto(f"{base}/keys/")
    page.get_by_label("Name", exact=True).fill("Engine")
    page.get_by_role("button", name="Create key").click()
    guest.secrets["Engine"] = page.locator("#new-secret").inner_text()
    assert guest.ask("gpt-4o", max_tokens=5).status_code == 200
    page.goto(f"{base}/usage/")
    receipts = page.get_by_title("Open the receipt")
    await_true(lambda: page.reload() and receipts.count(), what="the receipt")
    menu = page.get_by_role("navigation", name="Dashboard")
    expect(menu.get_by_role("link", name="Orders")).to_have_count(0)


def cap(page: Page, base: str, email: str, size: str) -> None:
    page.goto(f"{base}/team/")
    assert_fits(page)
    keep(page, f"teams/{size}-members")
    page.get_by_role("link", name=email).click()
    page.get_by_label("Spend at most, each month").fill("1")
    page.get_by_role("button", name="Save caps").click()
    expect(page.get_by_role("status")).to_contain_text("The caps bind the next request")
    assert_fits(page)
    keep(page, f"teams/{size}-member")


def remove(page: Page, size: str) -> None:
    """Remove the member whose page this is, and end their keys."""
    page.get_by_role("link", name="Remove from the team").click()
    keep(page, f"teams/{size}-remove")
    page.get_by_label("End at once").check()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("is not in the team any more")


def read_trail(page: Page, base: str, email: str, size: str) -> None:
    page.goto(f"{base}/team/events/")
    expect(page.locator("#events")).to_contain_text("changed the caps of")
    assert_fits(page)
    keep(page, f"teams/{size}-events")
    page.get_by_label("What").select_option("member_removed")
    expect(page.locator("#events")).not_to_contain_text("changed the caps of")
    expect(page.locator("#events")).to_contain_text(email)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    assert download.value.suggested_filename == "audit-trail.csv"
    page.goto(f"{base}/team/close/")
    keep(page, f"teams/{size}-close")


def switch(owner: Shopper, base: str, size: str) -> None:
    """Go from the team to one's own dashboard, in the header or, on a phone, the account's menu."""
    page = owner.page
    page.goto(f"{base}/")
    assert_fits(page)
    name = "Account of" if size == "phone" else "Switch to another"
    page.locator(f"summary[aria-label*='{name}']").click()
    keep(page, f"teams/{size}-switcher")
    page.locator("details[open]").get_by_role("link", name=owner.email).click()
    expect(page.get_by_role("main")).to_contain_text("First steps")
    assert page.url == f"{owner.stack.url}/dashboard/"

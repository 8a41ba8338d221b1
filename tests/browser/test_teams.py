"""A team of two: invited, joined, bought for, capped, removed; on a desk and on a phone."""

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from devstack.stack import Stack
from tests.browser.conftest import Browsers
from tests.browser.pictures import SIZES, keep
from tests.browser.shoppers import PASSWORD, Shopper, mailed, sign_up
from tests.waiting import await_true

pytestmark = pytest.mark.browser

CONFIRM = re.compile(r"http://\S+/accounts/confirm-email/\S+/")
INVITED = re.compile(r"http://\S+/invitations/\S+/")
TEAM = "Analytical <b>Engines</b> & Sons, of Ockham and the Park"


def mailed_link(stack: Stack, email: str, link: re.Pattern[str]) -> str:
    await_true(lambda: link.search(mailed(stack, email)), what="the mail")
    return str(link.findall(mailed(stack, email))[0])


def confirm(customer: Shopper) -> None:
    """Open the link that confirms one's address, and press its button."""
    customer.page.goto(mailed_link(customer.stack, customer.email, CONFIRM))
    customer.page.get_by_role("button", name="Yes, it is mine").click()


def assert_fits(page: Page) -> None:
    """No page scrolls sideways."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url


@pytest.mark.parametrize("size", SIZES)
def test_two_people_share_a_balance(stack: Stack, browsers: Browsers, size: str) -> None:
    owner = sign_up(browsers.open(viewport=SIZES[size]), stack, f"owner-{size}")
    confirm(owner)
    page = owner.page

    page.goto("/accounts/email/")
    page.get_by_role("link", name="Create a team").click()
    keep(page, f"teams/{size}-new")
    page.get_by_label("Name").fill(TEAM)
    page.get_by_role("button", name="Create team").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Invitations")
    base = page.url.partition("/team/")[0]

    guest_email = f"guest-{size}@example.com"
    page.get_by_label("Email").fill(guest_email)
    page.get_by_label("Role").select_option("developer")
    page.get_by_role("button", name="Send invitation").click()
    expect(page.get_by_role("status")).to_contain_text(f"{guest_email} is invited")
    assert_fits(page)
    keep(page, f"teams/{size}-invitations")

    guest_page = browsers.open(viewport=SIZES[size])
    link = mailed_link(stack, guest_email, INVITED)
    guest_page.goto(link)
    expect(guest_page.get_by_role("main")).not_to_contain_text("Analytical")
    keep(guest_page, f"teams/{size}-invited")
    guest_page.get_by_role("main").get_by_role("link", name="Create an account").click()
    guest_page.get_by_label("Email").fill(guest_email)
    guest_page.get_by_label("Password").fill(PASSWORD)
    guest_page.get_by_role("button", name="Create account").click()
    expect(guest_page.get_by_role("main")).to_contain_text("Confirm your address")
    guest = Shopper(guest_email, guest_page, stack)
    confirm(guest)
    guest_page.goto(link)
    keep(guest_page, f"teams/{size}-join")
    guest_page.get_by_role("button", name="Join the team").click()
    expect(guest_page.get_by_role("status").first).to_contain_text("You are in the team")
    assert guest_page.url == f"{base}/"
    assert_fits(guest_page)
    keep(guest_page, f"teams/{size}-joined")

    page.goto(f"{base}/".replace("/dashboard/", "/billing/checkout/starter/"))
    page.get_by_role("button", name="Continue to payment").click()
    page.get_by_role("button", name="Pay $5.00").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("credits are yours")

    guest_page.goto(f"{base}/keys/")
    guest_page.get_by_label("Name", exact=True).fill("Engine")
    guest_page.get_by_role("button", name="Create key").click()
    guest.secrets["Engine"] = guest_page.locator("#new-secret").inner_text()
    assert guest.ask("gpt-4o", max_tokens=5).status_code == 200
    guest_page.goto(f"{base}/usage/")
    await_true(
        lambda: guest_page.reload() and guest_page.get_by_title("Open the receipt").count(),
        what="the receipt",
    )
    expect(guest_page.get_by_role("link", name="Orders")).to_have_count(0)

    page.goto(f"{base}/team/")
    expect(page.get_by_role("main")).to_contain_text(guest_email)
    assert_fits(page)
    keep(page, f"teams/{size}-members")
    page.get_by_role("link", name=guest_email).click()
    page.get_by_label("Spend at most, each month").fill("1")
    page.get_by_role("button", name="Save caps").click()
    expect(page.get_by_role("status")).to_contain_text("The caps bind the next request")
    assert_fits(page)
    keep(page, f"teams/{size}-member")
    await_true(lambda: guest.ask("gpt-4o", max_tokens=5).status_code == 429, what="the cap to bind")

    page.get_by_role("link", name="Remove from the team").click()
    keep(page, f"teams/{size}-remove")
    page.get_by_label("End at once").check()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("is not in the team any more")
    secret = guest.secrets["Engine"]
    call = httpx.get(f"{stack.url}/v1/models", headers={"Authorization": f"Bearer {secret}"})
    assert call.status_code == 401
    guest_page.goto("/dashboard/")
    expect(guest_page.get_by_role("main")).not_to_contain_text("Analytical")
    await_true(lambda: "refused from now on" in mailed(stack, guest_email), what="the mail")

    page.goto(f"{base}/team/events/")
    expect(page.locator("#events")).to_contain_text("changed the caps of")
    page.get_by_label("What").select_option("member_removed")
    expect(page.locator("#events")).not_to_contain_text("changed the caps of")
    expect(page.locator("#events")).to_contain_text(guest_email)
    assert_fits(page)
    keep(page, f"teams/{size}-events")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    assert download.value.suggested_filename == "audit-trail.csv"
    page.goto(f"{base}/team/close/")
    keep(page, f"teams/{size}-close")

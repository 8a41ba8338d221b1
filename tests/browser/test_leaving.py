"""A customer leaves, and nothing that customers type runs as a script."""

import httpx
import pytest
from playwright.sync_api import expect

from devstack.stack import Stack
from tests.browser.conftest import Browsers, Login
from tests.browser.pictures import keep
from tests.browser.shoppers import mailed, sign_up
from tests.waiting import await_true

pytestmark = pytest.mark.browser

SCRIPT = "<img src=x onerror=window.hit=1>"


def test_an_account_is_taken_along_and_deleted(stack: Stack, browsers: Browsers) -> None:
    customer = sign_up(browsers.open(), stack, "leaver")
    secret = customer.create_key("Laptop")
    page = customer.page
    page.goto("/dashboard/settings/data/")
    keep(page, "leaving/data")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download my data").click()
    assert download.value.suggested_filename == "my-data.zip"

    page.get_by_role("link", name="Delete my account").click()
    keep(page, "leaving/delete")
    page.get_by_label("Type your email address to confirm").fill(customer.email)
    page.get_by_role("button", name="Delete it for good").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Your account is deleted")
    keep(page, "leaving/deleted")
    call = httpx.get(f"{stack.url}/v1/models", headers={"Authorization": f"Bearer {secret}"})
    assert call.status_code == 401
    await_true(lambda: "Your keys have ended" in mailed(stack, customer.email), what="the mail")


def test_what_a_customer_types_runs_nowhere(stack: Stack, browsers: Browsers, staff: Login) -> None:
    customer = sign_up(browsers.open(), stack, "scripter")
    customer.create_key(SCRIPT)
    page = customer.page
    for path in ("/dashboard/", "/dashboard/keys/", "/dashboard/usage/", "/accounts/sessions/"):
        page.goto(path)
        assert page.evaluate("window.hit") is None

    desk = browsers.open()
    desk.goto("/accounts/login/?next=/admin/")
    desk.get_by_label("Email").fill(staff.email)
    desk.get_by_label("Password").fill(staff.password)
    desk.get_by_role("button", name="Log in", exact=True).click()
    for path in ("/admin/accounts/apikey/", "/admin/accounts/user/", "/admin/billing/notice/"):
        desk.goto(path)
        expect(desk.locator("#content")).to_be_visible()
        assert desk.evaluate("window.hit") is None

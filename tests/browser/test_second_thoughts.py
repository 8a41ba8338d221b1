"""What people do besides the straight way: hesitate, mistype, click twice, go back, stay away."""

import re

import pytest
from playwright.sync_api import Page, expect

from devstack.stack import Stack
from tests.browser.conftest import Browsers
from tests.browser.pictures import keep
from tests.browser.shoppers import PASSWORD, mailed, sign_up
from tests.waiting import await_true

pytestmark = pytest.mark.browser

RESET_LINK = re.compile(r"http://\S+/accounts/password/reset/key/\S+")


def h1(page: Page) -> str:
    return page.get_by_role("heading", level=1).inner_text()


def test_the_way_back_after_paying_neither_pays_again_nor_shows_the_key_again(
    stack: Stack, browsers: Browsers
) -> None:
    customer = sign_up(browsers.open(), stack, "backward")
    customer.buy("starter")
    page = customer.page
    expect(page.locator("#new-secret")).to_be_visible()

    page.go_back()
    page.go_back()
    assert h1(page) == "Your order"
    page.go_forward()
    page.go_forward()

    expect(page.get_by_role("heading", level=1)).to_contain_text("1,000,000 credits are yours")
    expect(page.get_by_role("main")).to_contain_text("Your balance is now 1,000,000 credits")
    expect(page.get_by_role("main")).to_contain_text("Your first key was shown here once")
    assert page.locator("#new-secret").count() == 0
    keep(page, "second-thoughts/back-after-paying")


def test_a_revoked_key_is_refused_and_another_tab_learns_it(
    stack: Stack, browsers: Browsers
) -> None:
    customer = sign_up(browsers.open(), stack, "careful")
    customer.create_key("Laptop")
    customer.buy("starter")
    assert customer.ask("gpt-4").status_code == 200
    page, other = customer.page, customer.page.context.new_page()
    for tab in (page, other):
        tab.goto("/dashboard/keys/")

    page.get_by_role("link", name="Revoke Laptop").click()
    keep(page, "second-thoughts/revoke")
    page.get_by_role("button", name="Revoke now").click()
    expect(page.get_by_role("row").filter(has_text="Laptop")).to_contain_text("Revoked")

    assert customer.ask("gpt-4").status_code == 401
    other.get_by_role("link", name="Revoke Laptop").click()
    expect(other.get_by_role("row").filter(has_text="Laptop")).to_contain_text("Revoked")


def test_two_clicks_create_one_account(stack: Stack, browsers: Browsers) -> None:
    page = browsers.open()
    page.goto("/accounts/signup/")
    page.get_by_label("Email").fill("impatient@example.com")
    page.get_by_label("Password").fill(PASSWORD)

    page.get_by_role("button", name="Create account").dblclick()

    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_two_clicks_create_one_key(stack: Stack, browsers: Browsers) -> None:
    customer = sign_up(browsers.open(), stack, "hasty")
    page = customer.page
    page.goto("/dashboard/keys/")
    page.get_by_label("Name", exact=True).fill("Only one")

    page.get_by_role("button", name="Create key").dblclick()

    expect(page.locator("#new-secret")).to_be_visible()
    page.goto("/dashboard/keys/")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_wrong_password_is_said_and_what_was_typed_stays(
    stack: Stack, browsers: Browsers
) -> None:
    sign_up(browsers.open(), stack, "forgetful")
    page = browsers.open()
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill("forgetful@example.com")
    page.get_by_label("Password").fill("not this one")

    page.get_by_role("button", name="Log in", exact=True).click()

    expect(page.locator(".errorlist")).to_contain_text("not correct")
    expect(page.get_by_label("Email")).to_have_value("forgetful@example.com")
    keep(page, "second-thoughts/wrong-password")


def test_a_forgotten_password_is_replaced_by_mail(stack: Stack, browsers: Browsers) -> None:
    sign_up(browsers.open(), stack, "absent")
    page = browsers.open()
    page.goto("/accounts/login/")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("Email").fill("absent@example.com")
    page.get_by_role("button", name="Send the link").click()
    assert h1(page) == "Check your inbox"

    page.goto(reset_link(stack, email="absent@example.com"))
    page.get_by_label("New Password").first.fill("another pelican, another ledger")
    page.get_by_label("New Password (again)").fill("another pelican, another ledger")
    keep(page, "second-thoughts/new-password")
    page.get_by_role("button", name="Save the password").click()
    assert h1(page) == "Your password is changed"
    page.get_by_role("main").get_by_role("link", name="Log in").click()
    page.get_by_label("Email").fill("absent@example.com")
    page.get_by_label("Password").fill("another pelican, another ledger")
    page.get_by_role("button", name="Log in", exact=True).click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_who_was_logged_out_meanwhile_comes_back_to_the_same_page(
    stack: Stack, browsers: Browsers
) -> None:
    customer = sign_up(browsers.open(), stack, "away")
    page = customer.page
    page.goto("/dashboard/keys/")
    forget_session(page)
    page.get_by_label("Name", exact=True).fill("Too late")

    page.get_by_role("button", name="Create key").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    page.get_by_label("Email").fill(customer.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page).to_have_url(f"{stack.url}/dashboard/keys/")
    expect(page.get_by_role("main")).to_contain_text("No keys yet")


def test_a_form_of_another_session_says_that_it_is_out_of_date(
    stack: Stack, browsers: Browsers
) -> None:
    page = browsers.open(failing=f"{stack.url}/dashboard/keys/new/")
    sign_up(page, stack, "two-tabs")
    page.goto("/dashboard/keys/")
    page.context.clear_cookies(name="csrftoken")
    page.get_by_label("Name", exact=True).fill("Stale")

    page.get_by_role("button", name="Create key").click()

    expect(page.get_by_role("alert")).to_contain_text("This page is out of date")
    keep(page, "second-thoughts/out-of-date")


def forget_session(page: Page) -> None:
    """As if it had expired; the form's own token stays good."""
    page.context.clear_cookies(name="sessionid")


def reset_link(stack: Stack, *, email: str) -> str:
    await_true(lambda: RESET_LINK.search(mailed(stack, email)), what="the mail is sent")
    return str(RESET_LINK.findall(mailed(stack, email))[0])

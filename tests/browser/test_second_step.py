"""Setting up a second step, and logging in with it, in a browser."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from devstack.stack import Stack
from tests.browser.conftest import Browsers
from tests.browser.pictures import keep
from tests.browser.shoppers import code_of, log_in, log_out, sign_up

pytestmark = pytest.mark.browser


def test_an_authenticator_app_and_its_recovery_codes(stack: Stack, browsers: Browsers) -> None:
    customer = sign_up(browsers.open(), stack, "two-steps")
    page = customer.page
    page.goto("/accounts/2fa/")
    keep(page, "second-step/none")
    page.get_by_role("link", name="Set up an app").click()
    keep(page, "second-step/app")
    page.locator("#id_code").fill(code_of(page.locator("#totp-secret").inner_text()))
    page.get_by_role("button", name="Switch it on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    keep(page, "second-step/recovery-codes")
    code = page.locator("#recovery-codes li").first.inner_text()
    page.goto("/accounts/2fa/")
    keep(page, "second-step/on")

    log_out(page)
    log_in(page, customer.email)
    expect(page.get_by_role("heading", level=1)).to_have_text("The second step")
    keep(page, "second-step/asked")
    page.locator("#id_code").fill(code)
    page.get_by_role("button", name="Log in", exact=True).click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.goto("/accounts/sessions/")
    expect(page.get_by_role("main")).to_contain_text("This browser")
    keep(page, "second-step/sessions")


def test_a_passkey_logs_in_without_a_password(stack: Stack, browser: Browser) -> None:
    # WebAuthn wants a name: an address such as 127.0.0.1 can have no passkeys.
    site = re.sub(r"//127\.0\.0\.1", "//localhost", stack.url)
    page = browser.new_context(base_url=site).new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    give_authenticator(page)
    customer = sign_up(page, stack, "passkey")
    page.goto("/accounts/2fa/webauthn/add/")
    keep(page, "second-step/passkey")
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    page.goto("/accounts/2fa/webauthn/")
    keep(page, "second-step/passkeys")

    log_out(page)
    page.goto("/accounts/login/")
    keep(page, "second-step/log-in")
    page.get_by_role("button", name="Log in with a passkey").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(page.get_by_role("main")).to_contain_text(customer.email)
    assert troubles == []


def give_authenticator(page: Page) -> None:
    """Plug in a device that says yes."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})

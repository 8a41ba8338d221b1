"""Where staff need a second step of logging in, the desk opens once it is set up."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from devstack.environment import without_product_settings
from devstack.pytest_plugin import SERVICES_HOME
from devstack.stack import Stack
from devstack.template import copy_template
from tests.browser.conftest import STAFF_LOGIN, TIMEOUT_MS, Login
from tests.browser.pictures import keep
from tests.browser.shoppers import code_of, log_in, log_out

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A shop as at an address that is not local."""
    folder = tmp_path_factory.mktemp("guarded")
    copy_template(SERVICES_HOME, to=folder / "postgres")
    environ = without_product_settings(os.environ) | {"STAFF_SECOND_FACTOR": "1"}
    with Stack(folder, environ=environ) as running:
        yield running


@pytest.fixture
def page(guarded: Stack, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(base_url=guarded.url)
    context.set_default_timeout(TIMEOUT_MS)
    yield context.new_page()
    context.close()


def expect_h1(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


@pytest.mark.timeout(600)
def test_staff_set_up_a_second_step_before_the_desk_opens(guarded: Stack, page: Page) -> None:
    found = STAFF_LOGIN.search(guarded.seed_output)
    assert found, guarded.seed_output
    clerk = Login(*found.groups())
    log_in(page, clerk.email, clerk.password)
    page.goto("/admin/billing/wallet/")
    expect(page).to_have_url(f"{guarded.url}/accounts/2fa/")
    expect(page.locator("body")).to_contain_text("Staff set up a second step of logging in first")
    keep(page, "staff/asked-to-set-up")

    page.get_by_role("link", name="Set up an app").click()
    secret = page.locator("#totp-secret").inner_text()
    page.locator("#id_code").fill(code_of(secret))
    page.get_by_role("button", name="Switch it on").click()
    expect_h1(page, "Recovery codes")
    recovery = page.locator("#recovery-codes li").first.inner_text()
    page.goto("/admin/billing/wallet/")
    expect(page.locator("#content")).to_be_visible()

    log_out(page)
    log_in(page, clerk.email, clerk.password)
    expect_h1(page, "The second step")
    page.goto("/admin/")
    # The password alone opens nothing.
    expect_h1(page, "The second step")
    page.locator("#id_code").fill(recovery)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.goto("/admin/")
    expect(page.locator("#content")).to_be_visible()

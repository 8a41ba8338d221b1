"""The shop is bought from without scripts, and without a mouse."""

import re

import pytest
from playwright.sync_api import Page, expect

from devstack.stack import Stack
from tests.browser.conftest import Browsers
from tests.browser.shoppers import PASSWORD, log_in, sign_up

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# More than any page has, so that a wrong name ends.
MOST_STOPS = 150
# What a screen reader would call the element that has the focus, and whether one sees that it has.
FOCUSED = """() => {
  const one = document.activeElement;
  const name = one.getAttribute("aria-label") || one.labels?.[0]?.innerText || one.innerText || "";
  const style = getComputedStyle(one);
  const isSeen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  return [name.trim(), isSeen];
}"""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on what is called so, and is seen to be."""
    passed = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        found, is_seen = page.evaluate(FOCUSED)
        if found == name:
            assert is_seen, f"nobody sees that {name} has the focus"
            return
        passed.append(found)
    pytest.fail(f"Tab never comes to {name}, but to {passed}")


def press(page: Page, name: str) -> None:
    tab_to(page, name)
    page.keyboard.press("Enter")


def title(page: Page, words: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_contain_text(words)


def test_a_pack_is_bought_and_a_key_revoked_without_scripts(
    stack: Stack, browsers: Browsers
) -> None:
    page = browsers.open(java_script_enabled=False)
    customer = sign_up(page, stack, "scriptless")

    customer.buy("starter")
    expect(page.locator("#new-secret")).to_have_text(re.compile(r"tp_live_\w{30,}"))
    expect(page.get_by_role("button", name="Copy the key")).to_be_hidden()

    customer.create_key("Laptop")
    page.goto("/dashboard/keys/")
    page.get_by_role("link", name="Revoke Laptop").click()
    page.get_by_role("button", name="Revoke now").click()
    row = page.get_by_role("row").filter(has_text="Laptop")
    expect(row).to_contain_text("Revoked")


@pytest.mark.parametrize("width", [390, 1280])
def test_models_are_filtered_without_scripts_and_come_first(browsers: Browsers, width: int) -> None:
    page = browsers.open(java_script_enabled=False, viewport={"width": width, "height": 844})
    page.goto("/models/")
    first = page.locator("#models tbody tr").first
    box = first.bounding_box()
    assert box
    assert box["y"] + box["height"] < 844

    if width < 768:
        page.get_by_text("More filters").click()
    page.get_by_label("Context of at least").select_option("128000")
    page.get_by_label("Reads images").check()
    page.get_by_role("button", name="Show").click()

    expect(page.locator("#models tbody tr")).to_have_count(2)
    expect(page.locator("#active-filters")).to_have_text(re.compile(r"^\s*2"))


def test_a_pack_is_bought_by_keyboard(stack: Stack, browsers: Browsers) -> None:
    page = browsers.open()
    page.goto("/")

    press(page, "Skip to the content")
    press(page, "See the packs")
    title(page, "Token packs")
    press(page, "Buy Builder")
    title(page, "Create your account")
    tab_to(page, "Email")
    page.keyboard.type("keyboard@example.com")
    tab_to(page, "Password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    title(page, "Your order")
    press(page, "Continue to payment")
    # Stripe's page is Stripe's.
    page.get_by_role("button", name="Pay $20.00").press("Enter")
    title(page, "credits are yours")
    press(page, "Go to the dashboard")
    title(page, "Overview")
    press(page, "Account of keyboard@example.com")
    press(page, "Log out")
    expect(page.get_by_role("link", name="Log in").first).to_be_visible()

    log_in(page, "keyboard@example.com")
    title(page, "Overview")

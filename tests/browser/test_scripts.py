"""What strangers type runs nowhere: every stored text, on every page and in every mail.

A shop is filled with texts that would run (`planting.py`), and Chromium opens every page of its
customer and of its desk, and every mail. Nothing may run, become an element, or be reported by the
Content-Security-Policy.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, expect

from devstack.environment import without_product_settings
from devstack.pytest_plugin import SERVICES_HOME
from devstack.stack import Stack
from devstack.template import copy_template
from tests.browser.addresses import is_page
from tests.browser.conftest import STAFF_LOGIN, TIMEOUT_MS
from tests.browser.shoppers import sign_up, wait_for_models
from tests.waiting import await_true

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AGENT = "Mozilla/5.0 <svg/onload=hit()> Firefox/140.0"
HIT = "window.hit = () => { window.wasHit = true; };"
# What became an element or an attribute that runs. No page of ours has such.
STRANGERS = """() => [...document.querySelectorAll(
    "svg[onload], img[onerror], [onmouseover], b#hit"
    + ", [href^='javascript:' i], [src^='javascript:' i]"
  )].map((element) => element.outerHTML.slice(0, 200))"""
# Shown somewhere, or this test would show nothing.
SEEN = {
    "account.EmailAddress.email",
    "accounts.ApiKey.name",
    "accounts.LegalText.text",
    "accounts.User.email",
    "admin.LogEntry.change_message",
    "billing.AutoTopUp.card_label",
    "billing.CodeBatch.name",
    "billing.InboxItem.detail",
    "billing.InboxItem.summary",
    "billing.LedgerEntry.reason",
    "billing.Notice.facts",
    "billing.Order.pack_name",
    "billing.Pack.description",
    "billing.Pack.name",
    "billing.PublicModel.name",
    "billing.Refund.reason",
    "billing.SignIn.device_name",
    "billing.StripeEvent.payload",
    "billing.TopUpConsent.text",
    "billing.UsageRecord.model_name",
    "mfa.Authenticator.data",
    "proxy.Incident.title",
    "proxy.IncidentUpdate.text",
    "proxy.Provider.name",
    "proxy.Provider.base_url",
    "proxy.Route.upstream_model",
}
# What is asked for in an address, and may be said again.
REFLECTED = (
    "/dashboard/usage/?model={0}&key={0}&before={0}",
    "/models/?q={0}&can={0}&price={0}&provider={0}",
    "/accounts/login/?next={0}",
    "/accounts/signup/?email={0}&next={0}",
    "/billing/return/?session_id={0}",
    "/no-such-page/{0}",
    "/accounts/confirm-email/{0}/",
    "/accounts/password/reset/key/{0}-{0}/",
)
REFLECTED_AT_THE_DESK = (
    "/admin/billing/order/?q={0}",
    "/admin/accounts/user/?q={0}&o={0}",
    "/admin/billing/usagerecord/?q={0}&before={0}",
    "/admin/billing/inboxitem/{0}/change/",
)
TYPED = "'\"></script><svg/onload=hit()><img src=x onerror=hit()>{{7777*7}}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A shop of its own: nobody else could use it afterwards."""
    folder = tmp_path_factory.mktemp("scripts")
    copy_template(SERVICES_HOME, to=folder / "postgres")
    with Stack(folder, environ=without_product_settings(os.environ)) as running:
        yield running


@dataclass
class Watched:
    """A browser's page in which nothing may run."""

    page: Page
    troubles: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Open a page and look for what has become of the texts in it."""
        answer = self.page.goto(path, wait_until="load")
        assert answer is not None
        if answer.status >= 500:
            self.troubles.append(f"{path}: {answer.status}")
        self.look(path)

    def look(self, path: str) -> None:
        if self.page.evaluate("window.wasHit === true"):
            self.troubles.append(f"{path}: a script ran")
        self.troubles += [f"{path}: {found}" for found in self.page.evaluate(STRANGERS)]
        text = self.page.content()
        if "54439" in text:
            self.troubles.append(f"{path}: a template was carried out")
        self.texts.append(text)


def watch(context: BrowserContext) -> Watched:
    context.set_default_timeout(TIMEOUT_MS)
    context.add_init_script(HIT)
    watched = Watched(context.new_page())

    def hear(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            watched.troubles.append(f"{message.location['url']}: {message.text}")

    def dismiss(dialog: Dialog) -> None:
        watched.troubles.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    context.on("console", hear)
    context.on("dialog", dismiss)
    return watched


def inside(shop: Stack, call: str) -> Any:
    """Call a function of the planting inside the product, and return what it returned."""
    code = f"import json; from tests.browser import planting; print(json.dumps(planting.{call}))"
    return json.loads(shop.manage("shell", "-c", code, is_owner=True).strip().splitlines()[-1])


# A hundred pages, one after the other.
@pytest.mark.timeout(600)
def test_nothing_that_is_stored_runs(shop: Stack, browser: Browser) -> None:
    customer = watch(browser.new_context(base_url=shop.url, user_agent=AGENT))
    shopper = sign_up(customer.page, shop, "scripter")
    shopper.create_key("Laptop")
    shopper.buy("starter")
    wait_for_models(shopper, ["gpt-4"])
    assert shopper.ask("gpt-4").status_code == 200
    await_true(lambda: inside(shop, "UsageRecord.objects.count()"), what="a receipt")
    await_true(lambda: inside(shop, "StripeEvent.objects.count()"), what="an event")
    found = STAFF_LOGIN.search(shop.seed_output)
    assert found
    desk = watch(browser.new_context(base_url=shop.url))
    desk.page.goto("/accounts/login/?next=/admin/")
    desk.page.get_by_label("Email").fill(found[1])
    desk.page.get_by_label("Password").fill(found[2])
    desk.page.get_by_role("button", name="Log in", exact=True).click()
    expect(desk.page.locator("#content")).to_be_visible()
    inside(shop, f"prepare({shopper.email!r})")
    mails = inside(shop, f"mails({shopper.email!r})")
    read(browser, mails)
    user_id = inside(shop, f"User.objects.get(email={shopper.email!r}).pk")

    planted: dict[str, str] = inside(shop, "plant()")

    for path in inside(shop, f"customers_pages({user_id})"):
        if is_page(customer.page, path):
            customer.open(path)
    for path in inside(shop, "desk_pages()"):
        desk.open(path)
    for watched, reflected in ((customer, REFLECTED), (desk, REFLECTED_AT_THE_DESK)):
        for path in reflected:
            watched.open(path.format(quote(TYPED, safe="")))
    assert customer.troubles == []
    assert desk.troubles == []
    shown = "\n".join([*customer.texts, *desk.texts])
    seen = {name for mark, name in planted.items() if mark in shown}
    assert SEEN - seen == set()


def read(browser: Browser, mails: dict[str, list[str]]) -> None:
    """Look at each mail's HTML, where no Content-Security-Policy would stop a script."""
    reader = watch(browser.new_context())
    for kind, (subject, html) in mails.items():
        assert "\n" not in subject, kind
        reader.page.set_content(html)
        reader.look(f"the mail {kind}")
    assert reader.troubles == []

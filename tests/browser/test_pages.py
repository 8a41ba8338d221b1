"""Every page on a phone and on a desk, in light and in dark, with much to show and with nothing."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, StorageState

from devstack.stack import Stack
from tests.browser.conftest import Browsers, Login
from tests.browser.pictures import SIZES, keep_as_it_is
from tests.browser.shoppers import (
    Shopper,
    expire,
    fail_debit,
    refund,
    sign_up,
    wait_for_models,
)
from tests.waiting import await_true

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LONG_MODEL = "acme-research/very-long-model-name-instruct-2026-11-22-preview"
# Public names of models that end badly, and what the emulator calls them.
BAD_ENDINGS = {
    LONG_MODEL: "fault-no-usage",
    "acme/breaks-off": "fault-cut-5",
    "acme/counts-wrong": "fault-negative-usage",
}
KEY_NAMES = [
    "Production server",
    "W" * 60,
    "<script>alert('key')</script><b>bold</b>",
    "مفتاح الخادم 生产服务器 \N{KEY} \N{RIGHT-TO-LEFT OVERRIDE}reversed",
]


@dataclass(frozen=True)
class Visitor:
    """A browser's memory of who is logged in, and the addresses of what is theirs."""

    state: StorageState | None
    places: dict[str, str]


@dataclass(frozen=True)
class Screen:
    """A page to look at: who looks, where, and what the answer's status is."""

    visitor: str
    path: str
    status: int = 200

    def __str__(self) -> str:
        return "-".join(re.findall(r"\w+", self.visitor + self.path))


SCREENS = [
    *(
        Screen("anyone", path)
        for path in (
            "/",
            "/packs/",
            "/models/",
            "/docs/",
            "/docs/search/?q=insufficient_quota",
            "/docs/errors/",
            "/docs/endings/",
            "/docs/fields/",
            "/api/docs/",
            "/legal/",
            "/models/gpt-4/",
            "/status/",
            "/accounts/login/",
            "/accounts/signup/",
            "/accounts/password/reset/",
            "/accounts/password/reset/done/",
            "/accounts/password/reset/key/1-no-such-key/",
            "/accounts/confirm-email/no-such-key/",
            "/accounts/inactive/",
        )
    ),
    Screen("anyone", "/no-such-page/", status=404),
    *(
        Screen("newcomer", path)
        for path in (
            "/",
            "/dashboard/",
            "/dashboard/keys/",
            "/dashboard/usage/",
            "/dashboard/orders/",
            "/dashboard/redeem/",
            "/dashboard/top-up/",
            "/dashboard/settings/notifications/",
            "/billing/checkout/builder/",
            "/accounts/email/",
            "/accounts/password/change/",
            "/accounts/logout/",
            "/accounts/confirm-email/",
            "/accounts/2fa/",
            "/accounts/2fa/totp/activate/",
            "/accounts/2fa/webauthn/add/",
            "/accounts/sessions/",
            "/dashboard/settings/data/",
            "/dashboard/settings/delete/",
        )
    ),
    *(
        Screen("regular", path)
        for path in (
            "/dashboard/",
            "/dashboard/keys/",
            "/dashboard/keys/{key}/",
            "/dashboard/keys/{key}/rotate/",
            "/dashboard/keys/{key}/pause/",
            "/dashboard/keys/{key}/revoke/",
            "/dashboard/usage/",
            "/dashboard/usage/?model=gpt-4o-mini",
            "/dashboard/usage/?by=key&period=7d&figure=tokens&outcome=completed",
            "/dashboard/playground/",
            "/dashboard/settings/company/",
            "/dashboard/settings/profile/",
            "/dashboard/usage/{completed}/",
            "/dashboard/usage/{client_left}/",
            "/dashboard/usage/{broken}/",
            "/dashboard/usage/{parked}/",
            "/dashboard/usage/{estimated}/",
            "/dashboard/statements/",
            "/dashboard/redeem/",
            "/dashboard/settings/notifications/",
            "/dashboard/orders/",
            "/dashboard/orders/{paid}/",
            "/dashboard/orders/{paid}/refund/",
            "/dashboard/orders/{open}/",
            "/dashboard/orders/{pending}/",
            "/dashboard/orders/{failed}/",
            "/dashboard/orders/{expired}/",
            "/billing/cancelled/{open}/",
            "/billing/return/?session_id={session}",
            "/billing/return/?session_id={open_session}",
            "/billing/return/?session_id={pending_session}",
            "/billing/return/?session_id={failed_session}",
        )
    ),
    Screen("regular", "/dashboard/usage/?key=nonsense", status=400),
    Screen("regular", "/dashboard/usage/req_of_someone_else/", status=404),
    *(
        Screen("clerk", path)
        for path in (
            "/admin/",
            "/admin/billing/wallet/",
            "/admin/billing/wallet/{wallet}/change/",
            "/admin/billing/wallet/{wallet}/statements/",
            "/admin/billing/order/",
            "/admin/billing/usagerecord/",
            "/admin/billing/ledgerentry/",
            "/admin/billing/stripeevent/",
            "/admin/billing/pack/add/",
            "/admin/billing/codebatch/",
            "/admin/billing/inboxitem/",
            "/admin/billing/refund/",
            "/admin/proxy/provider/",
            "/admin/proxy/provider/health/",
            "/admin/margin/",
        )
    ),
    Screen("debtor", "/dashboard/"),
    Screen("debtor", "/dashboard/orders/{paid}/"),
]


@pytest.fixture(scope="session")
def newcomer(stack: Stack, browser: Browser) -> Iterator[Visitor]:
    """Someone with an account and nothing else."""
    context = browser.new_context(base_url=stack.url)
    sign_up(context.new_page(), stack, "newcomer")
    yield Visitor(context.storage_state(), {})
    context.close()


@pytest.fixture(scope="session")
def regular(stack: Stack, browser: Browser) -> Iterator[Visitor]:
    """Someone with keys of difficult names, an order of each kind, and requests of every ending."""
    sell_models_that_end_badly(stack)
    context = browser.new_context(base_url=stack.url)
    customer = sign_up(context.new_page(), stack, "regular")
    for name in KEY_NAMES:
        customer.create_key(name)
    places = order_in_every_state(customer) | call_with_every_ending(customer)
    yield Visitor(context.storage_state(), places)
    context.close()


@pytest.fixture(scope="session")
def debtor(stack: Stack, browser: Browser) -> Iterator[Visitor]:
    """Someone whose payment was taken back after the first credits were spent."""
    context = browser.new_context(base_url=stack.url)
    customer = sign_up(context.new_page(), stack, "debtor")
    customer.create_key("Laptop")
    session_id = customer.buy("starter")
    assert customer.ask("gpt-4").status_code == 200
    refund(stack, session_id)

    def is_owing() -> bool:
        customer.page.goto("/dashboard/")
        return "credits are owed" in customer.page.get_by_role("main").inner_text()

    await_true(is_owing, what="the refund takes the credits back")
    freeze(stack, customer.email, reason="A card's owner disputes a payment")
    yield Visitor(context.storage_state(), {"paid": order_ids(customer.page)[0]})
    context.close()


@pytest.fixture(scope="session")
def clerk(stack: Stack, staff: Login, browser: Browser, regular: Visitor) -> Iterator[Visitor]:
    """A member of staff at the desk, with the regular customer's wallet to look at."""
    context = browser.new_context(base_url=stack.url)
    page = context.new_page()
    page.goto("/admin/")
    page.get_by_label("Email").fill(staff.email)
    page.get_by_label("Password").fill(staff.password)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.goto("/admin/billing/wallet/?q=regular")
    link = page.locator("#result_list tbody th a").get_attribute("href")
    yield Visitor(context.storage_state(), {"wallet": re.findall(r"\d+", str(link))[0]})
    context.close()


@pytest.fixture
def visitor(request: pytest.FixtureRequest) -> Visitor:
    """Who looks at the screen of the test."""
    name = request.getfixturevalue("screen").visitor
    return Visitor(None, {}) if name == "anyone" else request.getfixturevalue(name)


@pytest.mark.parametrize("screen", SCREENS, ids=str)
def test_a_page_is_whole_on_every_screen(
    screen: Screen, visitor: Visitor, stack: Stack, browsers: Browsers
) -> None:
    path = screen.path.format(**visitor.places)
    failing = stack.url + path if screen.status >= 400 else ""
    page = browsers.open(failing=failing, storage_state=visitor.state)

    answer = page.goto(path)

    assert answer is not None
    assert answer.status == screen.status
    for size, viewport in SIZES.items():
        page.set_viewport_size(viewport)
        keep_as_it_is(page, f"pages/{screen}-{size}")
        assert sideways(page) == []
    assert page.get_by_role("heading", level=1).count() == 1
    assert unlabelled(page) == []


def sideways(page: Page) -> list[str]:
    """What is wider than the window and not in a box that scrolls by itself."""
    found: list[str] = page.evaluate(
        """() => {
          const width = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= width) return [];
          return [...document.body.querySelectorAll("*")]
            .filter((element) => element.getBoundingClientRect().right > width + 1)
            .map((element) => element.outerHTML.slice(0, 120));
        }"""
    )
    return found


def unlabelled(page: Page) -> list[str]:
    """Controls, buttons and links that a screen reader could not name."""
    found: list[str] = page.evaluate(
        """() => {
          const controls = "input:not([type=hidden], [type=submit]), select, textarea";
          const named = (element) =>
            ["aria-label", "aria-labelledby", "title"].some((name) => element.getAttribute(name));
          const bare = [...document.querySelectorAll(controls)]
            .filter((control) => !control.labels?.length && !named(control));
          const silent = [...document.querySelectorAll("button, a[href], summary")]
            .filter((element) => !element.textContent.trim() && !named(element));
          return [...bare, ...silent].map((element) => element.outerHTML.slice(0, 120));
        }"""
    )
    return found


def sell_models_that_end_badly(stack: Stack) -> None:
    models = [f"--model={public}={upstream}" for public, upstream in BAD_ENDINGS.items()]
    key = stack.env["SANDBOX_UPSTREAM_KEY"]
    base = ["--base-url", f"{stack.upstream_url}/v1", "--api-key", key]
    stack.manage("add_provider", "acme", *base, "--default-price", *models)


def order_in_every_state(customer: Shopper) -> dict[str, str]:
    paid_session = customer.buy("builder")
    expired_session = customer.order("scale")
    expire(customer.stack, expired_session)
    failed_session = customer.order_by_bank("starter")
    fail_debit(customer.stack, failed_session)
    pending_session = customer.order_by_bank("starter")
    open_session = customer.order("starter")
    opened, pending, failed, expired, paid = order_ids(customer.page)
    return {
        "paid": paid,
        "expired": expired,
        "failed": failed,
        "pending": pending,
        "open": opened,
        "session": paid_session,
        "failed_session": failed_session,
        "pending_session": pending_session,
        "open_session": open_session,
    }


def order_ids(page: Page) -> list[str]:
    """The customer's orders, newest first."""
    page.goto("/dashboard/orders/")
    links = page.locator("tbody a").evaluate_all("links => links.map((link) => link.href)")
    return [link.rstrip("/").rpartition("/")[2] for link in links]


def call_with_every_ending(customer: Shopper) -> dict[str, str]:
    """Make requests; the ids of their receipts by how they ended."""
    wait_for_models(customer, BAD_ENDINGS)
    page = customer.page
    for words in (16, 24, 32):
        assert customer.ask("gpt-4o", f"say {words} words").status_code == 200
    customer.ask("gpt-4o", "Hello! [[cached=5]]", stream=True)
    customer.hang_up("gpt-4o")
    for model in BAD_ENDINGS:
        customer.ask(model, stream=True)
    endings = {
        "client_left": "You disconnected",
        "broken": "Broke off",
        "parked": "Under review",
    }

    def is_booked() -> bool:
        page.goto("/dashboard/usage/")
        return page.locator(".table-log tbody tr").count() == 8

    await_true(is_booked, what="all eight requests are booked")
    rows = page.locator(".table-log tbody tr")
    # What ended as usual has no mark.
    found = {"completed": receipt_id(rows.filter(has_not=page.locator(".badge")).first)}
    found |= {
        ending: receipt_id(rows.filter(has_text=words).first) for ending, words in endings.items()
    }
    return found | {"estimated": receipt_id(rows.filter(has_text=LONG_MODEL)), "key": key_id(page)}


def receipt_id(row: Any) -> str:
    return str(row.get_by_role("link").get_attribute("href")).rstrip("/").rpartition("/")[2]


def key_id(page: Page) -> str:
    page.goto("/dashboard/keys/")
    link = page.locator("a[href$='/revoke/']").first.get_attribute("href")
    found = re.search(r"/keys/(\d+)/revoke/", str(link))
    assert found
    return found[1]


def freeze(stack: Stack, email: str, *, reason: str) -> None:
    stack.manage(
        "shell",
        "-c",
        "from billing.ledger.wallets import freeze_wallet; from billing.models import Wallet; "
        f"freeze_wallet(Wallet.objects.get(team__person__email={email!r}), reason={reason!r})",
    )

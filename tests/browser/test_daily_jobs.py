"""What staff do every day, in Chromium, with the number of steps that it takes them.

A step is a click, or a text that is typed and sent; what is typed into a form counts with its
button. Each job begins on the desk's first page, by somebody whose role it is. More steps than
here fail: shorten the desk then, not the test.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from devstack.stack import Stack
from tests.browser.conftest import Browsers
from tests.browser.pictures import keep_as_it_is
from tests.browser.shoppers import PASSWORD, Shopper, dispute, log_in, sign_up, wait_for_models
from tests.waiting import await_true

# A shop of several people is slow to begin on a machine that tests other things, too.
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

STAFF = {
    "sue": "Support",
    "fay": "Finance",
    "finn": "Finance",
    "otto": "Operations",
    "olga": "",
}
HIRE = """
from django.contrib.auth.models import Group
from allauth.account.models import EmailAddress
from accounts.models import User
for name, role in {staff!r}.items():
    user = User.objects.create_user(name + "@staff.example", {password!r}, is_staff=True,
                                    is_superuser=not role)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    if role:
        user.groups.add(Group.objects.get(name=role))
"""
WHY = "Asked for by mail"
# Beyond what one person may give alone (DESK_DEED_CREDITS).
MUCH = 20_000_000


@dataclass
class Clerk:
    """A member of staff at the desk, whose steps are counted."""

    page: Page
    steps: int = 0

    def begin(self) -> None:
        """Be on the first page, with no step taken."""
        self.page.goto("/admin/")
        self.steps = 0

    def search(self, text: str) -> None:
        """Type something into the search of the desk, and send it."""
        box = self.page.get_by_role("searchbox", name="Search the desk")
        box.fill(text)
        self.step(lambda: box.press("Enter"))

    def click(self, what: str | Locator, *, within: Locator | None = None) -> None:
        """Press a link or a button."""
        where = within or self.page
        link = where.get_by_role("link", name=what, exact=True) if isinstance(what, str) else what
        self.step(link.first.click)

    def send(self, button: str, **fields: str) -> None:
        """Fill in a form and press its button."""
        for name, value in fields.items():
            self.page.locator(f"#id_{name}").fill(value)
        self.step(self.page.get_by_role("button", name=button, exact=True).click)

    def confirm(self, button: str, **fields: str) -> None:
        """Fill in the form of a deed, with its reason, and press its button."""
        self.send(button, reason=WHY, **fields)

    def step(self, act: Callable[[], Any]) -> None:
        act()
        self.page.wait_for_load_state()
        self.steps += 1

    def sees(self, *texts: str | re.Pattern[str]) -> None:
        for text in texts:
            expect(self.page.locator("body")).to_contain_text(text)

    def section(self, title: str) -> Locator:
        """Return a part of the page by its heading."""
        heading = self.page.get_by_role("heading", name=title, exact=False)
        return self.page.locator("section.module").filter(has=heading)


def inside(stack: Stack, code: str) -> str:
    """Run something inside the product, and return the last line that it printed."""
    lines = stack.manage("shell", "-c", code).strip().splitlines()
    return lines[-1] if lines else ""


@pytest.fixture(scope="module")
def hired(stack: Stack) -> None:
    inside(stack, HIRE.format(staff=STAFF, password=PASSWORD))


@pytest.fixture
def at_desk(hired: None, browsers: Browsers) -> Callable[[str], Clerk]:
    """Let somebody of the staff begin at the desk."""

    def begin(name: str) -> Clerk:
        page = browsers.open()
        log_in(page, f"{name}@staff.example")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        clerk = Clerk(page)
        clerk.begin()
        return clerk

    return begin


@pytest.fixture(scope="module")
def alice(stack: Stack, browser: Browser) -> Iterator[Shopper]:
    """A customer who bought twice and called once."""
    context = browser.new_context(base_url=stack.url)
    customer = sign_up(context.new_page(), stack, "alice-of-the-desk")
    customer.create_key("Laptop")
    customer.buy("starter")
    wait_for_models(customer, ["gpt-4"])
    assert customer.ask("gpt-4").status_code == 200
    await_true(lambda: booked(stack, customer.email), what="the receipt")
    yield customer
    context.close()


def booked(stack: Stack, email: str) -> bool:
    code = (
        "from billing.models import UsageRecord;"
        f"print(UsageRecord.objects.filter(wallet__team__person__email={email!r}).count())"
    )
    return inside(stack, code) != "0"


def another(stack: Stack, browsers: Browsers, name: str) -> Shopper:
    return sign_up(browsers.open(), stack, name)


Begin = Callable[[str], Clerk]


def test_where_did_my_tokens_go(at_desk: Begin, alice: Shopper) -> None:
    sue = at_desk("sue")

    sue.search(alice.email)

    sue.sees("Balance now", "Where the credits went", "gpt-4", "Laptop")
    keep_as_it_is(sue.page, "desk/customer")
    sue.click(sue.section("Where the credits went").locator("a[href*=usagerecord]:has-text('req')"))
    sue.sees("Charged and written off add up to the target")
    assert sue.steps == 2


def test_paid_and_got_nothing(at_desk: Begin, stack: Stack, browsers: Browsers) -> None:
    customer = another(stack, browsers, "waits-for-the-bank")
    customer.order_by_bank("starter")
    sue = at_desk("sue")

    sue.search(customer.email)
    sue.click("Ask Stripe again", within=sue.section("Orders"))
    sue.confirm("Ask Stripe again")

    sue.sees("Stripe was asked; the order is")
    assert sue.steps == 3


def test_refund_half(at_desk: Begin, alice: Shopper) -> None:
    fay = at_desk("fay")

    fay.search(alice.email)
    fay.click("Refund an amount", within=fay.section("Orders"))
    fay.confirm("Refund an amount", amount="2.50")

    fay.sees("$2.50 will be refunded")
    assert fay.steps == 3


def test_make_codes(at_desk: Begin) -> None:
    fay = at_desk("fay")

    fay.click(fay.page.locator("tr.model-codebatch .addlink"))
    with fay.page.expect_download() as codes:
        fay.send("Make and download", name="Fair", size="3", credits="1000")

    assert codes.value.path().read_text().count("\n") == 1 + 3
    assert fay.steps == 2


def test_a_leaked_key_is_revoked(at_desk: Begin, stack: Stack, browsers: Browsers) -> None:
    customer = another(stack, browsers, "leaky")
    secret = customer.create_key("In a public repository")
    sue = at_desk("sue")

    sue.search(secret)
    sue.click("Revoke")
    sue.confirm("Revoke")

    sue.sees("Revoked.")
    assert secret not in sue.page.url
    assert sue.steps == 3


def test_a_dispute_arrived(at_desk: Begin, stack: Stack, browsers: Browsers) -> None:
    customer = another(stack, browsers, "disputes")
    session_id = customer.buy("starter")
    dispute_id = dispute(stack, session_id)
    await_true(lambda: filed(stack, dispute_id), what="the finding of the dispute")
    fay = at_desk("fay")

    fay.click(fay.page.locator("a.matter:has-text('inbox item')"))
    if not fay.page.locator("dl.known").count():
        fay.click(fay.page.locator("#result_list th a").filter(has_text=dispute_id))
    fay.sees("Answer the dispute in Stripe's dashboard before its deadline")
    fay.click("The dispute")
    fay.sees(dispute_id)

    assert fay.steps <= 3


def filed(stack: Stack, dispute_id: str) -> bool:
    code = (
        "from billing.models import InboxItem;"
        f"print(InboxItem.objects.filter(reference={dispute_id!r}).count())"
    )
    return inside(stack, code) == "1"


def approve(clerk: Clerk) -> None:
    """Go from the first page to the one deed that waits, and approve it."""
    clerk.click(clerk.page.locator("a.matter:has-text('wait for a second person')"))
    clerk.click("Approve")
    clerk.confirm("Approve")
    assert clerk.steps == 3


def test_approve_what_another_may_not_do_alone(
    at_desk: Begin, stack: Stack, browsers: Browsers
) -> None:
    customer = another(stack, browsers, "very-sorry")
    fay, finn = at_desk("fay"), at_desk("finn")

    fay.search(customer.email)
    fay.click("Grant credits")
    fay.confirm("Grant credits", credits=str(MUCH))
    fay.sees("A second person has been asked to approve it")
    assert fay.steps == 3

    finn.begin()
    approve(finn)
    finn.sees("Granted 20,000,000 credits.")


def test_a_price_change_is_planned_with_its_margin(at_desk: Begin, alice: Shopper) -> None:
    otto = at_desk("otto")

    otto.search("gpt-4")
    otto.click("Set price")
    otto.send("Preview", prompt_rate_millicredits="4000", starts_at=soon(otto.page))
    otto.sees("at both prices", "Margin", "gpt-4")
    otto.confirm("Set price")

    otto.sees(re.compile(r"Price version \d+, from \d{4}-"))
    assert otto.steps == 4


def soon(page: Page) -> str:
    """Return an instant in two days, as a field of the browser takes it."""
    return str(page.evaluate("new Date(Date.now() + 172800000).toISOString().slice(0, 16)"))


def test_a_failing_provider_is_paused(at_desk: Begin, stack: Stack, alice: Shopper) -> None:
    inside(
        stack,
        "from billing.rollups.sweep import roll_up; roll_up();"
        "from billing.margin.business import measure_business; measure_business()",
    )
    otto = at_desk("otto")
    keep_as_it_is(otto.page, "desk/front")

    otto.click("sandbox", within=otto.page.locator("section.business"))
    otto.click("Pause")
    otto.confirm("Pause")

    otto.sees("No new request goes there.")
    steps = otto.steps
    otto.click("Resume")
    otto.confirm("Resume")
    otto.sees("Requests go there again.")
    assert steps == 3


def test_an_incident_is_posted(at_desk: Begin, stack: Stack) -> None:
    otto = at_desk("otto")

    otto.click(otto.page.locator("tr.model-incident .addlink"))
    otto.page.locator("#id_impact").select_option("slow")
    otto.page.locator("#id_updates-0-state").select_option("looking")
    otto.page.locator("#id_updates-0-text").fill("A provider is slow.")
    otto.send("Save", title="Answers come slowly")

    assert otto.steps == 2
    otto.page.goto("/status/")
    otto.sees("Answers come slowly", "A provider is slow.")


def test_a_customers_address_is_changed_by_two(
    at_desk: Begin, stack: Stack, browsers: Browsers
) -> None:
    customer = another(stack, browsers, "lost-her-mailbox")
    fay, finn = at_desk("fay"), at_desk("finn")

    fay.search(customer.email)
    fay.click("Change the address")
    fay.confirm("Change the address", email="new@example.net", again="new@example.net")
    fay.sees("It always takes two.")
    assert fay.steps == 3

    finn.begin()
    approve(finn)
    finn.sees("The address is changed")


def test_an_account_is_closed_and_erased(at_desk: Begin, stack: Stack, browsers: Browsers) -> None:
    customer = another(stack, browsers, "leaves")
    olga = at_desk("olga")

    olga.search(customer.email)
    olga.click("Close and erase")
    olga.confirm("Close and erase")

    olga.sees("The account is deleted", "closed")
    assert customer.email not in olga.page.locator("h2").all_inner_texts()
    assert olga.steps == 3


def test_a_dashboard_is_seen_as_its_customer_sees_it(at_desk: Begin, alice: Shopper) -> None:
    sue = at_desk("sue")

    sue.search(alice.email)
    sue.click("See their dashboard")
    sue.confirm("See their dashboard")

    sue.sees("Read-only.", "Overview")
    assert sue.steps == 3
